package glance

import (
	"maps"
	"net/http"
	"slices"
)

type properties map[string]map[string]any

func described(typ any, about string) map[string]any {
	return map[string]any{"type": typ, "description": about}
}

func readOnly(typ any, about string) map[string]any {
	p := described(typ, about)
	p["readOnly"] = true
	return p
}

func uuid(typ any, about string) map[string]any {
	p := described(typ, about)
	p["pattern"] = "^([0-9a-fA-F]){8}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){12}$"
	return p
}

var orNull = []string{"null", "string"}

// taskProperties are what a task has; the types that there are come into the enum of type.
var taskProperties = properties{
	"id":         uuid("string", "The task's identifier."),
	"type":       described("string", "What kind of work the task is."),
	"status":     {"type": "string", "enum": allStatuses, "description": "How far the task is."},
	"input":      described([]string{"null", "object"}, "What the task works on, in JSON."),
	"result":     described([]string{"null", "object"}, "What a task that succeeded gave, in JSON."),
	"owner":      described("string", "The project that the task belongs to."),
	"message":    described("string", "Why the task failed, for people; empty otherwise."),
	"image_id":   described("string", "The image that the task is about."),
	"request_id": described("string", "The request that made the task."),
	"user_id":    described("string", "The user who made the task."),
	"expires_at": described(orNull, "When a task that has ended is deleted."),
	"created_at": described("string", "When the task was made."),
	"updated_at": described("string", "When the task was last changed."),
	"self":       readOnly("string", "The path of the task."),
	"schema":     readOnly("string", "The path of this schema."),
}

// taskSchema describes a task of the types that there are.
func taskSchema(types []string) map[string]any {
	all := maps.Clone(taskProperties)
	all["type"] = maps.Clone(all["type"])
	all["type"]["enum"] = types
	return map[string]any{"name": "task", "properties": all}
}

// imageProperties are those of an image. Glance's clients read the schema when they start.
var imageProperties = properties{
	"id":               uuid("string", "The image's identifier."),
	"name":             {"type": orNull, "maxLength": 255, "description": "What the image is called."},
	"status":           {"type": "string", "readOnly": true, "enum": []string{"queued", "saving", "active", "killed", "deleted", "uploading", "importing", "pending_delete", "deactivated"}, "description": "The state of the image."},
	"visibility":       {"type": "string", "enum": []string{"community", "public", "private", "shared"}, "description": "Who sees the image."},
	"protected":        described("boolean", "An image that is protected is not deleted."),
	"os_hidden":        described("boolean", "An image that is hidden is left out of lists."),
	"checksum":         {"type": orNull, "readOnly": true, "maxLength": 32, "description": "MD5 of the image's bytes."},
	"os_hash_algo":     {"type": orNull, "readOnly": true, "maxLength": 64, "description": "The algorithm of os_hash_value."},
	"os_hash_value":    {"type": orNull, "readOnly": true, "maxLength": 128, "description": "The digest of the image's bytes."},
	"owner":            {"type": orNull, "maxLength": 255, "description": "The project that the image belongs to."},
	"size":             readOnly([]string{"null", "integer"}, "The bytes of the image's file."),
	"virtual_size":     readOnly([]string{"null", "integer"}, "The bytes of the disk in the image."),
	"container_format": {"type": orNull, "enum": []any{nil, "ami", "ari", "aki", "bare", "ovf", "ova", "docker", "compressed"}, "description": "What is around the disk."},
	"disk_format":      {"type": orNull, "enum": []any{nil, "ami", "ari", "aki", "vhd", "vhdx", "vmdk", "raw", "qcow2", "vdi", "iso", "ploop"}, "description": "The format of the disk."},
	"created_at":       readOnly("string", "When the image was registered."),
	"updated_at":       readOnly("string", "When the image was last changed."),
	"tags":             {"type": "array", "items": map[string]any{"type": "string", "maxLength": 255}, "description": "Words that mark the image."},
	"direct_url":       readOnly("string", "Where the image is stored."),
	"min_ram":          described("integer", "Megabytes of memory that a machine of the image needs."),
	"min_disk":         described("integer", "Gigabytes of disk that a machine of the image needs."),
	"self":             readOnly("string", "The path of the image."),
	"file":             readOnly("string", "The path of the image's bytes."),
	"schema":           readOnly("string", "The path of this schema."),
	"locations": {"type": "array", "description": "Where the image is stored, with what is known of each place.", "items": map[string]any{"type": "object", "required": []string{"url", "metadata"},
		"properties": properties{"url": {"type": "string", "maxLength": 255}, "metadata": {"type": "object"}}}},
}

// namespaceProperties are those of a namespace of metadata definitions.
var namespaceProperties = properties{
	"namespace": {"type": "string", "maxLength": 80, "description": "The name of the namespace."}, "display_name": {"type": "string", "maxLength": 80, "description": "Its name for people."},
	"description": {"type": "string", "maxLength": 500, "description": "What it is for."}, "visibility": {"type": "string", "enum": []string{"public", "private"}, "description": "Who sees it."},
	"protected": described("boolean", "One that is protected is not deleted."), "owner": {"type": "string", "maxLength": 255, "description": "Whose it is."},
	"created_at": readOnly("string", "When it was made."), "updated_at": readOnly("string", "When it was last changed."),
	"self": described("string", "Its path."), "schema": described("string", "The path of this schema."),
}

// resourceTypeProperties are those of a kind of resource that metadata definitions are for.
var resourceTypeProperties = properties{
	"name":   {"type": "string", "maxLength": 80, "description": "What the kind of resource is called."},
	"prefix": {"type": "string", "maxLength": 80, "description": "What is put before the names of properties."}, "properties_target": {"type": "string", "maxLength": 80, "description": "Which of its properties are meant."},
	"created_at": readOnly("string", "When it was made."), "updated_at": readOnly("string", "When it was last changed."),
}

// schema gives what makes a schema document; nil for one that is not served.
func (h *Handler) schema(name string) func() map[string]any {
	list := func(of, inner string, item map[string]any) map[string]any {
		return map[string]any{"name": of, "links": []map[string]any{{"rel": "describedby", "href": "{schema}"}},
			"properties": map[string]any{inner: map[string]any{"type": "array", "items": item}, "schema": map[string]any{"type": "string"}}}
	}
	everyType := func() []string {
		var names []string
		for _, t := range h.opts.Service.Types(everyone) {
			names = append(names, t.Name)
		}
		return slices.Sorted(slices.Values(names))
	}
	image := map[string]any{"name": "image", "properties": imageProperties, "additionalProperties": map[string]any{"type": "string"},
		"links": []map[string]any{{"rel": "self", "href": "{self}"}, {"rel": "enclosure", "href": "{file}"}, {"rel": "describedby", "href": "{schema}"}}}
	fixed := func(doc map[string]any) func() map[string]any { return func() map[string]any { return doc } }
	switch name {
	case "task":
		return func() map[string]any { return taskSchema(everyType()) }
	case "tasks":
		return func() map[string]any { return list("tasks", "tasks", taskSchema(everyType())) }
	case "image":
		return fixed(image)
	case "images":
		return fixed(list("images", "images", image))
	case "metadefs/namespace":
		return fixed(map[string]any{"name": "namespace", "required": []string{"namespace"}, "additionalProperties": false, "properties": namespaceProperties})
	case "metadefs/resource_type":
		return fixed(map[string]any{"name": "resource_type_association", "required": []string{"name"}, "additionalProperties": false, "properties": resourceTypeProperties})
	}
	return nil
}

// served are the versions of Glance's API that are named. Its tasks are in all of them.
var served = []string{"v2.16", "v2.15", "v2.14", "v2.13", "v2.12", "v2.11", "v2.10", "v2.9", "v2.8", "v2.7", "v2.6", "v2.5", "v2.4", "v2.3", "v2.2", "v2.1", "v2.0"}

// versions says which versions there are, so that a client chooses one: by 300, as Glance does.
func (h *Handler) versions(w http.ResponseWriter, r *request) error {
	var all []map[string]any
	for i, id := range served {
		status := "SUPPORTED"
		if i == 0 {
			status = "CURRENT"
		}
		all = append(all, map[string]any{"id": id, "status": status, "links": []map[string]any{{"rel": "self", "href": r.url("/v2/")}}})
	}
	return writeJSON(w, http.StatusMultipleChoices, map[string]any{"versions": all})
}

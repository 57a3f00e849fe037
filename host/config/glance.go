package config

import (
	"github.com/hashicorp/hcl/v2"
)

var tasksAccess = []string{"admin", "member"}

// Glance is the glance block: how the tasks are served at /v2/tasks, as OpenStack's image service
// serves its own.
type Glance struct {
	// TasksAPIAccess is who may use it: admins only, or members, too, who see their own
	// project's tasks.
	TasksAPIAccess string
	// TaskTimeToLive is how many hours a task is kept after its end; 0 leaves that to its type.
	TaskTimeToLive int
	// AllowedSchemes are those of the URLs that may be imported from.
	AllowedSchemes []string
	// AllowedHosts are the only hosts that may be imported from; without the key, any but
	// disallowed_hosts. What an executor may fetch from is in its own config.
	AllowedHosts []string
	// DisallowedHosts are hosts that are not imported from.
	DisallowedHosts []string
}

func (g *Glance) setters() map[string]setter {
	return map[string]setter{
		"tasks_api_access": enum(&g.TasksAPIAccess, tasksAccess), "task_time_to_live": count(&g.TaskTimeToLive, 0, 87_600),
		"allowed_schemes": texts(&g.AllowedSchemes), "allowed_hosts": texts(&g.AllowedHosts), "disallowed_hosts": texts(&g.DisallowedHosts),
	}
}

// glance reads the glance block, if there is one.
func (d *decoder) glance(content *hcl.BodyContent, to *Glance) {
	for i, b := range content.Blocks.OfType("glance") {
		if i > 0 {
			d.fault(b.DefRange, "A second glance block", "A server has one.")
			continue
		}
		inner := d.body(b.Body, "glance", nil, to.setters())
		if a := inner.Attributes["allowed_hosts"]; a != nil && inner.Attributes["disallowed_hosts"] != nil {
			d.fault(a.NameRange, "Allowed and disallowed hosts", "Set one of them: allowed_hosts alone says who else is not imported from.")
		}
	}
}

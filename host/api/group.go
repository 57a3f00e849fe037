package api

import (
	"github.com/taskhost/taskhost/host/group"
	"github.com/taskhost/taskhost/host/task"
)

// Group is a group as clients see it.
type Group = group.Summary

// GroupRequest asks for a group without members. It is open: tasks join by naming it.
type GroupRequest struct {
	Name       string            `json:"name,omitempty" maxLength:"255" doc:"need not be unique"`
	Labels     map[string]string `json:"labels,omitempty" maxProperties:"64" doc:"names and values of the client's choice"`
	OnFinished *TaskRequest      `json:"on_finished,omitempty" doc:"a task without input that is submitted, once, when the group is closed and all its members are final; its input is {\"group\": the group as it is then}"`
}

// BatchGroup asks for a group of the tasks of a batch.
type BatchGroup struct {
	GroupRequest
	Open bool `json:"open,omitempty" doc:"more tasks may join, until the group is closed; without it none may"`
}

// GroupList is one page of groups.
type GroupList struct {
	Groups []Group `json:"groups" nullable:"false" doc:"the groups of this page, newest first"`
	Next   *string `json:"next" doc:"the cursor of the next page; null on the last"`
}

// Cursor is what asks for the next page; zero if this is the last. Its error says that
// the server wrote what is no cursor.
func (l *GroupList) Cursor() (task.ID, error) {
	if l.Next == nil {
		return task.ID{}, nil
	}
	return task.ParseID(*l.Next)
}

// GroupRef says where a group is.
type GroupRef struct {
	Group string `json:"group" format:"uri-reference"`
}

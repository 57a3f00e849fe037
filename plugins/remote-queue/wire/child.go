package wire

import (
	"encoding/json"
	"time"

	"github.com/taskhost/taskhost/sdk"
)

// appendChild writes a child without its input. What remains until its deadline travels,
// since clocks differ.
func appendChild(b []byte, c *sdk.Child) []byte {
	b = putString(putString(putString(b, c.Name), c.Type), c.Executor)
	b = putMap(putMap(putInt(b, int64(c.Priority)), c.Labels), c.Route)
	b = putBool(putInt(b, int64(c.Timeout)), !c.Deadline.IsZero())
	b = putInt(b, int64(time.Until(c.Deadline))) // of none it is not read
	b = putBool(putInt(b, int64(c.MaxAttempts)), c.MaxLost != nil)
	if c.MaxLost != nil {
		b = putInt(b, int64(*c.MaxLost))
	}
	if b = putBool(b, c.Retain != nil); c.Retain != nil {
		b = putInt(b, int64(*c.Retain))
	}
	for _, names := range [][]string{c.Exclusive, c.Shared} {
		b = putUint(b, uint64(len(names)))
		for _, name := range names {
			b = putString(b, name)
		}
	}
	return b
}

// decodeChild reads what appendChild wrote. Whether it makes sense is for the Reporter to say
// that it is handed to.
func decodeChild(d *decoder) *sdk.Child {
	c := &sdk.Child{Name: d.string(), Type: d.string(), Executor: d.string(), Priority: int(d.int()), Labels: d.stringMap(), Route: d.stringMap()}
	c.Timeout = time.Duration(d.int())
	limited, remaining := d.bool(), time.Duration(d.int())
	if limited {
		c.Deadline = time.Now().Add(remaining)
	}
	if c.MaxAttempts = int(d.int()); d.bool() {
		c.MaxLost = new(int(d.int()))
	}
	if d.bool() {
		c.Retain = new(time.Duration(d.int()))
	}
	c.Exclusive, c.Shared = d.strings(), d.strings()
	return c
}

// ChildOf is the child that a KindSpawn item asks for, with its input, which is no part of the
// message any more.
func (it *Item) ChildOf() sdk.Child {
	c := *it.Child
	c.Input = json.RawMessage(append([]byte{}, it.Data...))
	return c
}

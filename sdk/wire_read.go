package sdk

import (
	"bytes"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/taskhost/taskhost/sdk/internal/executorpb"
)

// The two messages that each attempt has are read here if they are plain: of fields that are
// common, all of their payloads in place. Whatever else comes is protobuf's to read, or to refuse.

// How the fields that stand in plain messages are encoded; with the number of a field before it, its tag.
const (
	asNumber = uint64(protowire.VarintType)
	asBytes  = uint64(protowire.BytesType)
)

// wireField is a field of a message.
type wireField struct {
	tag    uint64
	number uint64
	bytes  []byte // of the message's own
}

// nextField takes the first field of a message that is not empty. It fails for what is no such field.
func nextField(message []byte) (f wireField, rest []byte, ok bool) {
	tag, n := protowire.ConsumeVarint(message)
	if n < 0 {
		return f, nil, false
	}
	f.tag = tag
	rest = message[n:]
	switch tag & 7 {
	case asNumber:
		f.number, n = protowire.ConsumeVarint(rest)
	case asBytes:
		f.bytes, n = protowire.ConsumeBytes(rest)
	default:
		return f, nil, false
	}
	if n < 0 {
		return f, nil, false
	}
	return f, rest[n:], true
}

// eachField gives each field of a message to take, until one is none or take refuses it.
func eachField(message []byte, take func(f wireField) bool) bool {
	for len(message) > 0 {
		f, rest, ok := nextField(message)
		if !ok || !take(f) {
			return false
		}
		message = rest
	}
	return true
}

// onlyField gives the bytes of a message's one field, if it is that one.
func onlyField(message []byte, tag uint64) (value []byte, ok bool) {
	if len(message) == 0 {
		return nil, false
	}
	f, rest, ok := nextField(message)
	return f.bytes, ok && len(rest) == 0 && f.tag == tag
}

// text is a field that holds a text; was is one that it often is, and then costs nothing.
func (f *wireField) text(was string) (string, bool) {
	if string(f.bytes) == was {
		return was, true
	}
	if !utf8.Valid(f.bytes) {
		return "", false
	}
	return string(f.bytes), true
}

// plainPayload reads a payload that stands in place.
func plainPayload(message []byte, into *pb.Payload) bool {
	into.Inline = nil
	if len(message) == 0 {
		return true
	}
	inline, ok := onlyField(message, 1<<3|asBytes)
	into.Inline = bytes.Clone(inline)
	return ok
}

func plainDuration(message []byte, into *durationpb.Duration) bool {
	into.Seconds = 0
	into.Nanos = 0
	return eachField(message, func(f wireField) bool {
		switch f.tag {
		case 1<<3 | asNumber:
			into.Seconds = int64(f.number)
		case 2<<3 | asNumber:
			into.Nanos = int32(f.number)
		default:
			return false
		}
		return true
	})
}

// plainEntry reads an entry of a map of texts.
func plainEntry(message []byte, into *map[string]string) bool {
	var key, value string
	ok := eachField(message, func(f wireField) (ok bool) {
		switch f.tag {
		case 1<<3 | asBytes:
			key, ok = f.text("")
		case 2<<3 | asBytes:
			value, ok = f.text("")
		}
		return ok
	})
	if !ok {
		return false
	}
	if *into == nil {
		*into = map[string]string{}
	}
	(*into)[key] = value
	return true
}

// plainStart is a Start that was read, and room that is used again.
type plainStart struct {
	start              pb.Start
	input              pb.Payload
	remaining, timeout durationpb.Duration
}

// read reads a HostMessage that is a plain Start; false if it is not. The start is whole until read
// is called again, and its token until the message is gone; what it holds else may be kept.
func (p *plainStart) read(message []byte) bool {
	message, ok := onlyField(message, 1<<3|asBytes)
	lastType := p.start.GetType()
	p.start = pb.Start{}
	return ok && eachField(message, func(f wireField) bool { return p.take(&f, lastType) })
}

// take takes one field of the start.
func (p *plainStart) take(f *wireField, lastType string) (ok bool) {
	s := &p.start
	ok = true
	switch f.tag {
	case 1<<3 | asBytes:
		s.Token = f.bytes
	case 2<<3 | asBytes:
		s.TaskId, ok = f.text("")
	case 3<<3 | asBytes:
		s.Type, ok = f.text(lastType)
	case 4<<3 | asNumber:
		s.Attempt = int64(f.number)
	case 5<<3 | asBytes:
		ok = s.Input == nil && plainPayload(f.bytes, &p.input)
		s.Input = &p.input
	case 9<<3 | asBytes:
		ok = s.Remaining == nil && plainDuration(f.bytes, &p.remaining)
		s.Remaining = &p.remaining
	case 10<<3 | asBytes:
		ok = s.Timeout == nil && plainDuration(f.bytes, &p.timeout)
		s.Timeout = &p.timeout
	case 11<<3 | asBytes:
		ok = plainEntry(f.bytes, &s.Labels)
	case 13<<3 | asBytes:
		ok = plainEntry(f.bytes, &s.Trace)
	case 20<<3 | asNumber:
		s.Priority = int32(f.number)
	default:
		ok = false
	}
	return ok
}

// plainFinished is a Finished that was read, and room that is used again.
type plainFinished struct {
	finished pb.Finished
	outcome  pb.Outcome
	result   pb.Payload
}

// read reads a PluginMessage that is a plain Finished; false if it is not. What is said of
// plainStart.read holds for it.
func (p *plainFinished) read(message []byte) bool {
	message, ok := onlyField(message, 5<<3|asBytes)
	p.finished = pb.Finished{}
	return ok && eachField(message, func(f wireField) bool {
		switch f.tag {
		case 1<<3 | asBytes:
			p.finished.Token = f.bytes
		case 2<<3 | asNumber:
			p.finished.Seq = f.number
		case 3<<3 | asBytes:
			ok := p.finished.Outcome == nil && p.readOutcome(f.bytes)
			p.finished.Outcome = &p.outcome
			return ok
		case 4<<3 | asNumber:
			p.finished.Data = f.number
		default:
			return false
		}
		return true
	})
}

func (p *plainFinished) readOutcome(message []byte) bool {
	p.outcome = pb.Outcome{}
	o := &p.outcome
	return eachField(message, func(f wireField) (ok bool) {
		ok = true
		switch f.tag {
		case 1<<3 | asNumber:
			o.Kind = pb.Kind(f.number)
		case 2<<3 | asBytes:
			ok = o.Result == nil && plainPayload(f.bytes, &p.result)
			o.Result = &p.result
		case 3<<3 | asBytes:
			o.ContentType, ok = f.text(ContentJSON)
		case 4<<3 | asBytes:
			o.Code, ok = f.text(CodeScriptFailed)
		case 5<<3 | asBytes:
			o.Message, ok = f.text("")
		case 7<<3 | asNumber:
			o.Permanent = protowire.DecodeBool(f.number)
		default:
			ok = false
		}
		return ok
	})
}

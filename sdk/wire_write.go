package sdk

import (
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"

	pb "github.com/taskhost/taskhost/sdk/internal/executorpb"
)

// messageWriter writes one message of a frame of Control as protobuf does, field by field: what
// has its zero value is left out. Its numbers of fields are those of executor.proto.
type messageWriter struct {
	buf  []byte
	tail []byte // of lastPayload
}

// messageHead is room for the tags and lengths of what a message's body stands in.
const messageHead = 12

// newMessage makes a writer of a message whose body has about this many bytes.
func newMessage(size int) messageWriter {
	return messageWriter{buf: make([]byte, messageHead, messageHead+size)}
}

// done gives the message of this kind, one of HostMessage or of PluginMessage.
func (w *messageWriter) done(messages, kind protowire.Number) wireMessage {
	body := len(w.buf) - messageHead + len(w.tail)
	var room [messageHead]byte
	head := protowire.AppendTag(room[:0], messages, protowire.BytesType)
	head = protowire.AppendVarint(head, uint64(protowire.SizeTag(kind)+protowire.SizeBytes(body)))
	head = protowire.AppendTag(head, kind, protowire.BytesType)
	head = protowire.AppendVarint(head, uint64(body))
	message := w.buf[messageHead-len(head):]
	copy(message, head)
	return wireMessage{message, w.tail}
}

func (w *messageWriter) number(field protowire.Number, n uint64) {
	if n != 0 {
		w.buf = protowire.AppendTag(w.buf, field, protowire.VarintType)
		w.buf = protowire.AppendVarint(w.buf, n)
	}
}

func (w *messageWriter) flag(field protowire.Number, set bool) {
	w.number(field, protowire.EncodeBool(set))
}

func (w *messageWriter) bytes(field protowire.Number, b []byte) {
	if len(b) > 0 {
		w.buf = protowire.AppendTag(w.buf, field, protowire.BytesType)
		w.buf = protowire.AppendBytes(w.buf, b)
	}
}

func (w *messageWriter) text(field protowire.Number, s string) {
	if s != "" {
		w.entry(field, s)
	}
}

// entry is the text of a list, which may be empty. It is written as the UTF-8 that protobuf insists on.
func (w *messageWriter) entry(field protowire.Number, s string) {
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "\ufffd")
	}
	w.buf = protowire.AppendTag(w.buf, field, protowire.BytesType)
	w.buf = protowire.AppendString(w.buf, s)
}

// message writes a message within this one, whose fields write writes.
func (w *messageWriter) message(field protowire.Number, write func()) {
	w.buf = protowire.AppendTag(w.buf, field, protowire.BytesType)
	from := len(w.buf)
	write()
	var room [10]byte
	size := uint64(len(w.buf) - from + len(w.tail))
	w.buf = slices.Insert(w.buf, from, protowire.AppendVarint(room[:0], size)...)
}

func (w *messageWriter) texts(field protowire.Number, m map[string]string) {
	for k, v := range m {
		w.message(field, func() {
			w.text(1, k)
			w.text(2, v)
		})
	}
}

// duration writes a duration that is not less than none.
func (w *messageWriter) duration(field protowire.Number, d time.Duration) {
	d = max(d, 0)
	w.message(field, func() {
		w.number(1, uint64(d/time.Second))
		w.number(2, uint64(d%time.Second))
	})
}

// lastPayload is payload for what comes last in the message and in each that it stands in: data in
// place are not copied.
func (w *messageWriter) lastPayload(field protowire.Number, p *packer, part pb.Part, data []byte) {
	if len(data) == 0 || len(data) > inlineBytes {
		w.payload(field, p, part, data)
		return
	}
	w.payloadHead(field, data)
	w.tail = data
}

// payload writes data in place, or, if it is too large, the promise of its chunks; nil is left out.
func (w *messageWriter) payload(field protowire.Number, p *packer, part pb.Part, data []byte) {
	switch {
	case data == nil:
	case len(data) > inlineBytes:
		p.cut(part, data)
		w.message(field, func() { w.number(2, uint64(len(data))) })
	case len(data) == 0:
		w.entry(field, "")
	default:
		w.payloadHead(field, data)
		w.buf = append(w.buf, data...)
	}
}

// payloadHead writes what stands before the data of a payload in place.
func (w *messageWriter) payloadHead(field protowire.Number, data []byte) {
	w.buf = protowire.AppendTag(w.buf, field, protowire.BytesType)
	w.buf = protowire.AppendVarint(w.buf, uint64(protowire.SizeTag(1)+protowire.SizeBytes(len(data))))
	w.buf = protowire.AppendTag(w.buf, 1, protowire.BytesType)
	w.buf = protowire.AppendVarint(w.buf, uint64(len(data)))
}

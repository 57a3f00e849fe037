package sdk

import (
	"google.golang.org/grpc/encoding"
	grpcproto "google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// The fields of a frame that hold its messages.
const (
	hostMessages   protowire.Number = 2 // of ControlRequest
	pluginMessages protowire.Number = 1 // of ControlResponse
)

// wireMessage is a message of a frame that is to be sent, encoded, with its tag.
type wireMessage struct {
	head []byte
	tail []byte // a payload, which is not copied while the message waits
}

func (m *wireMessage) size() int { return len(m.head) + len(m.tail) }

// sentFrame is a frame of Control that is to be sent.
type sentFrame []wireMessage

// receivedFrame is a frame of Control as it came.
type receivedFrame struct{ buffer mem.Buffer }

// frameCodec is gRPC's codec for protobuf, but for frames of Control, whose bytes this package
// writes and reads itself: an attempt is a message or two each way, and by protobuf's reflection
// they were a sixth of what an attempt costs its host.
type frameCodec struct{ encoding.CodecV2 }

func newFrameCodec() frameCodec { return frameCodec{encoding.GetCodecV2(grpcproto.Name)} }

// Marshal gives the bytes of v.
func (c frameCodec) Marshal(v any) (mem.BufferSlice, error) {
	frame, ok := v.(sentFrame)
	if !ok {
		return c.CodecV2.Marshal(v)
	}
	size := 0
	for i := range frame {
		size += frame[i].size()
	}
	pool := mem.DefaultBufferPool()
	buf := pool.Get(size)
	to := (*buf)[:0]
	for i := range frame {
		to = append(to, frame[i].head...)
		to = append(to, frame[i].tail...)
	}
	return mem.BufferSlice{mem.NewBuffer(buf, pool)}, nil
}

// Unmarshal reads data into v.
func (c frameCodec) Unmarshal(data mem.BufferSlice, v any) error {
	frame, ok := v.(*receivedFrame)
	if !ok {
		return c.CodecV2.Unmarshal(data, v)
	}
	frame.buffer = data.MaterializeToBuffer(mem.DefaultBufferPool())
	return nil
}

// receiveFrame waits for the stream's next frame, and gives each of its messages to handle, which
// must not keep the bytes. An error of handle ends it.
func receiveFrame(stream interface{ RecvMsg(any) error }, messages protowire.Number, handle func(message []byte) error) error {
	var frame receivedFrame
	if err := stream.RecvMsg(&frame); err != nil {
		return err
	}
	defer frame.buffer.Free()
	return eachMessage(frame.buffer.ReadOnlyData(), messages, handle)
}

// eachMessage gives each message of a frame to handle.
func eachMessage(frame []byte, messages protowire.Number, handle func(message []byte) error) error {
	for len(frame) > 0 {
		field, kind, n := protowire.ConsumeTag(frame)
		if n < 0 {
			return protowire.ParseError(n)
		}
		frame = frame[n:]
		if n = protowire.ConsumeFieldValue(field, kind, frame); n < 0 {
			return protowire.ParseError(n)
		}
		if field == messages && kind == protowire.BytesType {
			message, _ := protowire.ConsumeBytes(frame)
			if err := handle(message); err != nil {
				return err
			}
		}
		frame = frame[n:]
	}
	return nil
}

// encodeMessage encodes a message of a frame. It fails for texts that are not UTF-8.
func encodeMessage(messages protowire.Number, m proto.Message) (wireMessage, error) {
	size := proto.Size(m)
	buf := make([]byte, 0, size+messageHead)
	buf = protowire.AppendTag(buf, messages, protowire.BytesType)
	buf = protowire.AppendVarint(buf, uint64(size))
	buf, err := proto.MarshalOptions{UseCachedSize: true}.MarshalAppend(buf, m)
	return wireMessage{head: buf}, err
}

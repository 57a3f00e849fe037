package sdk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"

	pb "github.com/taskhost/taskhost/sdk/internal/executorpb"
)

var (
	errChunks       = errors.New("chunks of a payload do not fit together")
	errStreamGone   = errors.New("the stream ended before the payload was complete")
	errTooManyBytes = fmt.Errorf("more than %d MiB of payloads wait to be put together", maxAssembling>>20)
)

// chunkKey names a payload: whose it is, which part, and of which report (0: of
// the start).
type chunkKey struct {
	token Token
	part  pb.Part
	seq   uint64
}

// assembler puts payloads together whose chunks arrive on Data, before or after
// the message on Control that announces them.
type assembler struct {
	mu         sync.Mutex
	bytes      int64 // bytes of all payloads not yet taken
	assemblies map[chunkKey]*assembly
	parts      map[Token]int // payloads in m; none is there with 0
	closed     bool

	refused      map[Token]struct{} // whose chunks are dropped
	refusedOrder []Token            // the latest maxRefused of them, and the next to make room
	nextRefused  int
}

// maxRefused is of how many attempts that are over an assembler knows it. That of more come
// chunks at a time is beyond what a host can hold.
const maxRefused = 1 << 16

type assembly struct {
	total int64 // -1 until the first chunk
	buf   []byte
	ready chan struct{} // closed when complete or failed
	err   error
}

func newAssembler() *assembler {
	return &assembler{assemblies: map[chunkKey]*assembly{}, parts: map[Token]int{}}
}

// entry needs the lock held.
func (a *assembler) entry(k chunkKey) *assembly {
	e := a.assemblies[k]
	if e == nil {
		e = &assembly{total: -1, ready: make(chan struct{})}
		a.assemblies[k] = e
		a.parts[k.token]++
	}
	return e
}

// remove needs the lock held.
func (a *assembler) remove(k chunkKey, e *assembly) {
	delete(a.assemblies, k)
	a.bytes -= int64(len(e.buf))
	if a.parts[k.token]--; a.parts[k.token] == 0 {
		delete(a.parts, k.token)
	}
}

func (e *assembly) complete() bool {
	select {
	case <-e.ready:
		return true
	default:
		return false
	}
}

// add takes one chunk. A chunk that does not fit spoils its payload only. An error says
// that an attempt sends more payloads than it can have: this is the attempt's fault.
func (a *assembler) add(c *pb.Chunk) error {
	t, ok := tokenOf(c.GetToken())
	if !ok || c.GetPart() == pb.Part_PART_UNSPECIFIED {
		return nil
	}
	k := chunkKey{t, c.GetPart(), c.GetSeq()}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return nil
	}
	if _, ok := a.refused[t]; ok {
		return nil
	}
	if a.assemblies[k] == nil && a.parts[t] >= maxParts {
		return fmt.Errorf("chunks of more than %d payloads came that no message has announced", maxParts)
	}
	e := a.entry(k)
	if e.complete() {
		return nil // said again
	}
	if c.GetOffset() == 0 { // the first, or the whole from the beginning again
		a.bytes -= int64(len(e.buf))
		e.total = c.GetTotal()
		e.buf = nil
	}
	n := int64(len(c.GetData()))
	switch {
	case e.total <= 0, e.total > k.limit(), e.total != c.GetTotal(), n == 0,
		c.GetOffset() != int64(len(e.buf)), c.GetOffset()+n > e.total:
		a.fail(e, errChunks)
		return nil
	case a.bytes+n > maxAssembling:
		a.fail(e, errTooManyBytes)
		return nil
	}
	if e.buf == nil { // what a peer announces is not believed before it comes
		e.buf = make([]byte, 0, min(e.total, 4*inlineBytes))
	}
	e.buf = append(e.buf, c.GetData()...)
	a.bytes += n
	if int64(len(e.buf)) == e.total {
		close(e.ready)
	}
	return nil
}

// limit is what a payload of this kind may have, in bytes.
func (k chunkKey) limit() int64 {
	if k.part == pb.Part_PART_CHECKPOINT {
		return MaxCheckpoint
	}
	return maxPayload
}

func (a *assembler) fail(e *assembly, err error) {
	a.bytes -= int64(len(e.buf))
	e.buf, e.err = nil, err
	close(e.ready)
}

// take waits for a payload of this size and hands it over.
func (a *assembler) take(ctx context.Context, k chunkKey, total int64) ([]byte, error) {
	a.mu.Lock()
	if a.closed {
		a.mu.Unlock()
		return nil, errStreamGone
	}
	if _, ok := a.refused[k.token]; ok { // it may have come, and was dropped
		a.mu.Unlock()
		return nil, errStreamGone
	}
	e := a.entry(k)
	a.mu.Unlock()
	var err error
	select {
	case <-e.ready:
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.assemblies[k] == e {
		a.remove(k, e)
	}
	switch {
	case err != nil:
		return nil, err
	case e.err != nil:
		return nil, e.err
	case int64(len(e.buf)) != total:
		return nil, fmt.Errorf("%w: %d bytes came, %d were announced", errChunks, len(e.buf), total)
	}
	return e.buf, nil
}

// forget drops what has come for a token that nobody waits for.
func (a *assembler) forget(t Token) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.drop(t)
}

// refuse drops what has come for a token and what is yet to come: nobody will take it.
func (a *assembler) refuse(t Token) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.drop(t)
	if _, ok := a.refused[t]; ok {
		return
	}
	if a.refused == nil {
		a.refused = map[Token]struct{}{}
	}
	a.refused[t] = struct{}{}
	if len(a.refusedOrder) < maxRefused {
		a.refusedOrder = append(a.refusedOrder, t)
		return
	}
	delete(a.refused, a.refusedOrder[a.nextRefused])
	a.refusedOrder[a.nextRefused] = t
	a.nextRefused = (a.nextRefused + 1) % maxRefused
}

// drop needs the lock held.
func (a *assembler) drop(t Token) {
	if a.parts[t] == 0 {
		return
	}
	for k, e := range a.assemblies {
		if k.token == t {
			a.remove(k, e)
			if !e.complete() {
				e.buf, e.err = nil, errStreamGone
				close(e.ready)
			}
		}
	}
}

// close ends all waiting: no chunk will come any more.
func (a *assembler) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closed = true
	for k, e := range a.assemblies {
		a.remove(k, e)
		if !e.complete() {
			e.buf, e.err = nil, errStreamGone
			close(e.ready)
		}
	}
}

// packer turns bytes into payloads. What is too large to stand in place it
// remembers, to be put on Data when the message itself is on its way.
type packer struct {
	token  Token
	seq    uint64
	chunks []*pb.Chunk
}

// pack gives the payload of data; nil stays nil.
func (p *packer) pack(part pb.Part, data []byte) *pb.Payload {
	if data == nil {
		return nil
	}
	if len(data) > inlineBytes {
		p.cut(part, data)
		return &pb.Payload{Chunked: int64(len(data))}
	}
	return &pb.Payload{Inline: data}
}

// cut cuts data into chunks.
func (p *packer) cut(part pb.Part, data []byte) {
	token := bytes.Clone(p.token[:])
	for off := 0; off < len(data); off += inlineBytes {
		p.chunks = append(p.chunks, &pb.Chunk{Token: token, Part: part, Seq: p.seq, Offset: int64(off),
			Data: data[off:min(off+inlineBytes, len(data))], Total: int64(len(data))})
	}
}

// unpack is the reverse: bytes in place at once, chunks when they are all there.
func (a *assembler) unpack(ctx context.Context, p *pb.Payload, k chunkKey) ([]byte, error) {
	switch {
	case p == nil:
		return nil, nil
	case p.GetChunked() == 0:
		if p.GetInline() == nil {
			return []byte{}, nil
		}
		return p.GetInline(), nil
	case p.GetChunked() < 0 || p.GetChunked() > k.limit():
		return nil, fmt.Errorf("a payload of %d bytes is announced, at most %d are taken", p.GetChunked(), k.limit())
	}
	return a.take(ctx, k, p.GetChunked())
}

func tokenOf(b []byte) (t Token, ok bool) {
	if len(b) != len(t) {
		return t, false
	}
	copy(t[:], b)
	return t, true
}

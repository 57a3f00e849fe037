package sdk

import (
	"bytes"
	"context"
	"encoding/binary"
	"testing"

	pb "github.com/taskhost/taskhost/sdk/internal/executorpb"
)

// Whatever chunks come, in whatever order: nothing panics, what is counted as held
// is what is held, and a payload that is handed over has the size it should.
func FuzzAssembler(f *testing.F) {
	whole := func(size int) []byte { // as packer cuts it, in the notation of the fuzz
		var out []byte
		for off := 0; off < size; off += 40 {
			n := min(40, size-off)
			out = append(out, 0, 1, byte(off), byte(n), byte(size))
		}
		return out
	}
	f.Add(whole(40))
	f.Add(whole(100))
	f.Add(append(whole(100), whole(100)...))
	f.Add(append(whole(100)[:5], whole(200)...))
	f.Add([]byte{0, 1, 10, 10, 20, 1, 2, 0, 5, 4, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, in []byte) {
		a := newAssembler()
		for ; len(in) >= 5; in = in[5:] {
			var token Token
			token[0] = in[0] % 4
			_ = a.add(&pb.Chunk{Token: token[:], Part: pb.Part(in[1] % 4), Seq: uint64(in[0] >> 4),
				Offset: int64(int8(in[2])), Data: make([]byte, in[3]), Total: int64(int8(in[4]))})
			if in[0] == 0xff {
				a.forget(token)
			}
		}
		a.mu.Lock()
		held := int64(0)
		keys := map[chunkKey]*assembly{}
		for k, e := range a.assemblies {
			held += int64(len(e.buf))
			keys[k] = e
		}
		if held != a.bytes {
			t.Fatalf("%d bytes are held, %d are counted", held, a.bytes)
		}
		for token, n := range a.parts {
			if n < 1 || n > maxParts {
				t.Fatalf("%d payloads of one attempt are kept", n)
			}
			for k := range a.assemblies {
				if k.token == token {
					n--
				}
			}
			if n != 0 {
				t.Fatalf("the payloads of an attempt are counted wrongly by %d", n)
			}
		}
		a.mu.Unlock()
		for k, e := range keys {
			if !e.complete() {
				continue
			}
			data, err := a.take(context.Background(), k, e.total)
			if err == nil && int64(len(data)) != e.total {
				t.Fatalf("%d bytes of %d were handed over", len(data), e.total)
			}
		}
		a.close()
		if a.bytes != 0 || len(a.assemblies) != 0 || len(a.parts) != 0 {
			t.Fatalf("%d bytes are held after the end", a.bytes)
		}
	})
}

// Any payload comes out as it went in, and small ones need no chunks.
func FuzzPackUnpack(f *testing.F) {
	f.Add(uint32(0), byte(1))
	f.Add(uint32(inlineBytes), byte(2))
	f.Add(uint32(inlineBytes+1), byte(3))
	f.Add(uint32(3*inlineBytes+17), byte(4))
	f.Fuzz(func(t *testing.T, size uint32, fill byte) {
		size %= 4 * inlineBytes
		data := bytes.Repeat([]byte{fill}, int(size))
		if size > 8 {
			binary.BigEndian.PutUint32(data[size-8:], size)
		}
		k := chunkKey{Token{1}, pb.Part_PART_RESULT, 9}
		p := packer{token: k.token, seq: k.seq}
		w := p.pack(k.part, data)
		if (size <= inlineBytes) != (len(p.chunks) == 0) {
			t.Fatalf("%d bytes in %d chunks", size, len(p.chunks))
		}
		a := newAssembler()
		for _, c := range p.chunks {
			if err := a.add(c); err != nil {
				t.Fatal(err)
			}
		}
		got, err := a.unpack(t.Context(), w, k)
		if err != nil || !bytes.Equal(got, data) {
			t.Fatalf("%d bytes came out of %d: %v", len(got), size, err)
		}
	})
}

// Package secret encrypts the values of inputs whose schema marks them writeOnly, so that a
// store never holds them in clear. It is pure: the key file is read and written by its
// caller, and chance is passed in.
package secret

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Ring is the keys of a host: all of them open, the last one seals. A nil one opens and seals
// nothing. One that is not changed any more is safe for many callers at once.
type Ring struct {
	keys   []*key
	hashes [][]byte // of keys that are gone, to compare with: see Hashes
	random Random
}

// Random fills b with bytes that nobody can guess, as crypto/rand.Read does.
type Random func(b []byte) (n int, err error)

// key is 256 random bits and what is derived of them.
type key struct {
	master []byte
	id     string
	aead   cipher.AEAD
	hash   []byte // keys a hash of what may hold secrets
}

// The lines of a key file begin so; base64 follows. Hash keys are what is left of keys that
// open nothing any more.
const (
	keyLine  = "taskhost-key:1:"
	hashLine = "taskhost-hash-key:1:"
	keySize  = 32
)

const fileComment = `# The keys of this host's store: what taskhost.db holds sealed, they open, and nothing else does.
# Keep a copy beside each backup of the store. The last key seals; lines of another copy may be put before it.
`

// New makes a ring of one new key.
func New(random Random) (*Ring, error) {
	r := &Ring{random: random}
	return r, r.Add()
}

// Parse reads what Encode wrote. Its errors hold no key.
func Parse(file []byte, random Random) (*Ring, error) {
	r := &Ring{random: random}
	for i, line := range strings.Split(string(file), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		text, isKey := strings.CutPrefix(line, keyLine)
		if !isKey {
			var isHash bool
			if text, isHash = strings.CutPrefix(line, hashLine); !isHash {
				return nil, fmt.Errorf("line %d is no key: a key begins with %q", i+1, keyLine)
			}
		}
		data, err := base64.StdEncoding.DecodeString(text)
		if err != nil || len(data) != keySize {
			return nil, fmt.Errorf("line %d is a damaged key: want %d bytes in base64", i+1, keySize)
		}
		if !isKey {
			r.hashes = append(r.hashes, data)
			continue
		}
		k, err := newKey(data)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
		r.keys = append(r.keys, k)
	}
	if len(r.keys) == 0 {
		return nil, errors.New("it holds no key")
	}
	return r, nil
}

// Encode is the ring as its file holds it. It is for its owner's eyes alone.
func (r *Ring) Encode() []byte {
	var b bytes.Buffer
	b.WriteString(fileComment)
	for _, h := range r.hashes {
		b.WriteString(hashLine + base64.StdEncoding.EncodeToString(h) + "\n")
	}
	for _, k := range r.keys {
		b.WriteString(keyLine + base64.StdEncoding.EncodeToString(k.master) + "\n")
	}
	return b.Bytes()
}

// Add makes a new key, which seals from now on.
func (r *Ring) Add() error {
	master := make([]byte, keySize)
	if _, err := r.random(master); err != nil {
		return fmt.Errorf("make a key: %w", err)
	}
	k, err := newKey(master)
	if err != nil {
		return fmt.Errorf("make a key: %w", err)
	}
	r.keys = append(r.keys, k)
	return nil
}

// Retire drops all keys but the last. What they have sealed, and Reseal has not sealed anew,
// is lost. What they have hashed can still be compared with, until the next Retire.
func (r *Ring) Retire() {
	last := len(r.keys) - 1
	r.hashes = nil
	for _, k := range r.keys[:last] {
		r.hashes = append(r.hashes, k.hash)
	}
	r.keys = r.keys[last:]
}

func newKey(master []byte) (*key, error) {
	block, err := aes.NewCipher(derive(master, "seal"))
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	return &key{master: slices.Clone(master), id: hex.EncodeToString(derive(master, "id")[:4]), aead: aead, hash: derive(master, "hash")}, nil
}

// derive makes of a key what is used for one purpose alone.
func derive(master []byte, purpose string) []byte {
	h := hmac.New(sha256.New, master)
	h.Write([]byte("taskhost " + purpose))
	return h.Sum(nil)
}

// Hash is a hash of what may hold secrets, as the last key makes it: who does not have the key
// can't try which secret gives it.
func (r *Ring) Hash(hash [sha256.Size]byte) [sha256.Size]byte {
	return keyed(r.last().hash, hash)
}

// last is the key that seals.
func (r *Ring) last() *key { return r.keys[len(r.keys)-1] }

// all are the keys that open.
func (r *Ring) all() []*key {
	if r == nil {
		return nil
	}
	return r.keys
}

// Hashes are Hash by each key that may have made one that is on record.
func (r *Ring) Hashes(hash [sha256.Size]byte) (all [][sha256.Size]byte) {
	if r == nil {
		return nil
	}
	for _, k := range r.keys {
		all = append(all, keyed(k.hash, hash))
	}
	for _, k := range r.hashes {
		all = append(all, keyed(k, hash))
	}
	return all
}

func keyed(key []byte, hash [sha256.Size]byte) (out [sha256.Size]byte) {
	h := hmac.New(sha256.New, key)
	h.Write(hash[:])
	h.Sum(out[:0])
	return out
}

package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/api/client"
	"github.com/taskhost/taskhost/host/task"
)

const (
	batchTasks = 1000     // tasks to a request, if nothing else is asked for
	batchBytes = 16 << 20 // of lines to a request at the most; the server takes 64 MiB
	batchLine  = 48 << 20 // bytes of a line at the most
)

const batchHelp = "\n\nWith --batch each line of a file is a task, as POST /v1/batches takes it; one that names no type is of TYPE. " +
	"They are submitted as they are read, so many in one request, all or none of them. It ends at the first line that is refused, and says which that is. " +
	"The same command on the same file within 24 hours goes on where the first came to, and submits nothing twice: " +
	"each request has an Idempotency-Key made of TYPE, --batch-size, --idempotency-key and all lines up to its last. " +
	"Give another --idempotency-key to submit the same lines again."

// batch is the flags of task submit --batch, and how far it is.
type batch struct {
	file           string // "-" is stdin
	size           int
	taskType       string
	idempotencyKey string

	program *program
	client  *client.Client
	sum     hash.Hash // of all that makes these lines these
	line    int       // the number of the line that was read last

	tasks []json.RawMessage // of the request to be sent
	lines []int             // their numbers in the file
	bytes int

	refs            []api.TaskRef // for -o json, which has them at once
	submitted       int
	before, existed int // submitted by an earlier run; there already, by their key
}

// submitBatch submits the lines of a file.
func (p *program) submitBatch(ctx context.Context, c *client.Client, b *batch) error {
	if b.size < 1 || b.size > task.MaxBatch {
		return usagef("--batch-size %d: want 1 to %d", b.size, task.MaxBatch)
	}
	in := p.in
	if b.file != "-" {
		f, err := os.Open(b.file)
		if err != nil {
			return usagef("--batch %s: %v", b.file, errors.Unwrap(err))
		}
		defer f.Close()
		in = f
	}
	b.program, b.client, b.sum = p, c, sha256.New()
	fmt.Fprintf(b.sum, "%q %d %q\n", b.taskType, b.size, b.idempotencyKey)
	err := b.run(ctx, in)
	if err != nil {
		if n := b.submitted + b.before; n > 0 {
			fmt.Fprintf(p.err, "%d tasks before that are submitted; run again, and it goes on after them\n", n)
		}
		return err
	}
	return b.report()
}

func (b *batch) run(ctx context.Context, in io.Reader) error {
	rd := bufio.NewReaderSize(in, 64<<10)
	for {
		line, err := b.readLine(rd)
		if err == io.EOF {
			return b.send(ctx)
		}
		if err != nil {
			return b.at(b.line, err)
		}
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		one, err := b.taskOf(line)
		if err != nil {
			return b.at(b.line, err)
		}
		if len(b.tasks) == b.size || len(b.tasks) > 0 && b.bytes+len(one) > batchBytes {
			if err := b.send(ctx); err != nil {
				return err
			}
		}
		b.sum.Write(one)
		b.sum.Write([]byte("\n"))
		b.tasks = append(b.tasks, one)
		b.lines = append(b.lines, b.line)
		b.bytes += len(one)
	}
}

// readLine reads the next line, which may lack its end at the end of the file; io.EOF if
// there is none.
func (b *batch) readLine(rd *bufio.Reader) ([]byte, error) {
	b.line++
	var line []byte
	for {
		part, err := rd.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case len(line) > batchLine:
			return nil, usagef("has more than %d bytes", batchLine)
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF) && len(line) > 0, err == nil:
			return bytes.TrimRight(line, "\r\n"), nil
		default:
			return nil, err
		}
	}
}

// taskOf is the task of a line, with its type.
func (b *batch) taskOf(line []byte) (json.RawMessage, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(line, &fields); err != nil || fields == nil {
		return nil, usagef("is no JSON object, as a task is: %s", jsonFault(err))
	}
	if _, typed := fields["type"]; typed {
		return line, nil
	}
	if b.taskType == "" {
		return nil, usagef("has no type: add it, or name one for all lines that have none: task submit TYPE --batch %s", b.file)
	}
	fields["type"] = json.RawMessage(strconv.Quote(b.taskType))
	return api.Encode(fields) // by name, so the same in every run
}

func jsonFault(err error) string {
	if err == nil {
		return "it is null"
	}
	return err.Error()
}

// at is an error of a line.
func (b *batch) at(line int, err error) error {
	name := b.file
	if name == "-" {
		name = "stdin"
	}
	place := fmt.Sprintf("%s:%d: ", name, line)
	var e *task.Error
	if errors.As(err, &e) {
		out := *e
		out.Message = place + e.Message
		out.Fields = nil
		return &out
	}
	return &exitError{code: exitCode(err), msg: place + err.Error()}
}

// send submits what was gathered. It is sent again while the server is away or the queue is
// full: the key makes that happen once.
func (b *batch) send(ctx context.Context) error {
	if len(b.tasks) == 0 {
		return nil
	}
	key := "batch-" + hex.EncodeToString(b.sum.Sum(nil)[:20])
	tries := 0
	for {
		var refs []api.TaskRef
		var replayed bool
		err := b.client.Outlast(ctx, func() (err error) {
			tries++
			refs, replayed, err = b.client.SubmitRaw(ctx, b.tasks, key)
			return err
		})
		var e *task.Error
		switch {
		case err == nil:
			return b.sent(refs, replayed && tries == 1)
		case !errors.As(err, &e) || e.Code != task.CodeQueueFull && e.Code != task.CodeQuotaExceeded:
			return b.refused(err)
		}
		if tries == 1 {
			fmt.Fprintf(b.program.err, "lines %d to %d wait: %s\n", b.lines[0], b.line, foldLines(e.Message))
		}
		select {
		case <-time.After(max(e.RetryAfter, time.Second)):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// refused is the error of a request as one of the lines at fault, if it names any.
func (b *batch) refused(err error) error {
	var e *task.Error
	if !errors.As(err, &e) {
		return err
	}
	var faults []error
	for _, f := range e.Fields {
		if len(f.Path) < 2 || f.Path[0] != "tasks" {
			continue
		}
		i, nerr := strconv.Atoi(f.Path[1])
		if nerr != nil || i < 0 || i >= len(b.lines) {
			continue
		}
		message := f.Message
		if rest := f.Path[2:]; len(rest) > 0 {
			message = api.Pointer(rest) + " " + message
		}
		if len(e.Fields) == 1 { // said in full, with the place in the request, which nobody has
			message = strings.TrimLeft(strings.TrimPrefix(e.Message, api.Pointer(f.Path[:2])), ": ")
		}
		faults = append(faults, b.at(b.lines[i], &task.Error{Code: e.Code, Message: message}))
	}
	switch len(faults) {
	case 0:
		return b.at(b.lines[0], err)
	case 1:
		return faults[0]
	}
	for _, f := range faults {
		fmt.Fprintln(b.program.err, "taskhost: "+foldLines(f.Error()))
	}
	return &exitError{code: exitCode(faults[0])}
}

// sent counts and prints what a request submitted, and begins the next.
func (b *batch) sent(refs []api.TaskRef, before bool) error {
	for _, r := range refs {
		switch {
		case before:
			b.before++
		case r.Existing:
			b.existed++
		default:
			b.submitted++
		}
	}
	b.tasks, b.lines, b.bytes = b.tasks[:0], b.lines[:0], 0
	switch b.program.format {
	case formatJSON:
		b.refs = append(b.refs, refs...)
	case formatLines, formatName:
		return printList(b.program, tableFormat[api.TaskRef]{name: func(r api.TaskRef) string { return r.ID }}, refs, nil)
	}
	return nil
}

// report says what became of the lines, once all are submitted.
func (b *batch) report() error {
	switch b.program.format {
	case formatJSON:
		return b.program.json(api.BatchAnswer{Tasks: slices.Concat([]api.TaskRef{}, b.refs)})
	case formatTable:
		fields := []field{{"Submitted", strconv.Itoa(b.submitted)}}
		if b.before > 0 {
			fields = append(fields, field{"Before", fmt.Sprintf("%d, by an earlier run; --idempotency-key with another name submits them anew", b.before)})
		}
		if b.existed > 0 {
			fields = append(fields, field{"Existing", fmt.Sprintf("%d, whose keys were taken", b.existed)})
		}
		return writeFields(b.program.out, fields, terminalWidth(b.program.out))
	}
	return nil
}

package sqlite

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/taskhost/taskhost/host/task"
)

// A kill -9 leaves to the kernel whatever was written, synced or not, and so can't
// show a missing fsync. Here a process runs on a disk that forgets at the cut
// what was not synced: testdata/powercut.c.

// power is a machine whose power can be cut.
type power struct {
	shim  string
	rnd   *rand.Rand
	level string // of synchronous; "" for the store's own
	live  string // the disk as the process sees it
	told  map[string]string
}

func newPower(t *testing.T, level string) *power {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("the disk that forgets is preloaded with LD_PRELOAD and looks at /proc: Linux only")
	}
	cc, err := exec.LookPath("gcc")
	if err != nil {
		t.Skip("no gcc to compile the disk that forgets: ", err)
	}
	p := &power{shim: filepath.Join(t.TempDir(), "powercut.so"), level: level, live: t.TempDir(), told: map[string]string{}}
	if out, err := exec.Command(cc, "-O2", "-Wall", "-shared", "-fPIC", "-pthread", "-o", p.shim, "testdata/powercut.c", "-ldl").CombinedOutput(); err != nil {
		t.Fatalf("compile testdata/powercut.c: %v\n%s", err, out)
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	p.rnd = rand.New(rand.NewPCG(seed, 0))
	return p
}

// run boots from the disk, runs the child and gives what was synced when it
// ended. It is killed some time after it has said so many lines; cutAt > 0 has it
// killed at that sync.
func (p *power) run(t *testing.T, lines, cutAt int) (synced string, killed bool) {
	t.Helper()
	synced = t.TempDir()
	// What is on the disk at the start is on it for good.
	if err := os.CopyFS(synced, os.DirFS(p.live)); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestPowerCutChild$", "-test.v=false")
	cmd.Env = append(os.Environ(), "LD_PRELOAD="+p.shim, "POWERCUT_DIR="+real(t, p.live), "POWERCUT_SYNCED="+synced,
		powerDir+"="+p.live, powerLevel+"="+p.level)
	if cutAt > 0 {
		cmd.Env = append(cmd.Env, "POWERCUT_AT="+strconv.Itoa(cutAt))
	}
	if lines > 0 {
		cmd.Env = append(cmd.Env, powerWork+"=1")
	}
	var faults bytes.Buffer
	cmd.Stderr = &faults
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	// Should it hang before it has said enough, the test fails rather than waits.
	hung := time.AfterFunc(30*time.Second, func() { _ = cmd.Process.Kill() })
	n := p.listen(t, bufio.NewScanner(out), lines, func() { _ = cmd.Process.Kill() })
	err = cmd.Wait()
	killed = cmd.ProcessState.ExitCode() == -1
	if !hung.Stop() || n < lines || (lines > 0 && !killed) || (!killed && err != nil) {
		t.Fatalf("the process did not do its work: %d lines, %v\n%s", n, err, faults.String())
	}
	return synced, killed
}

// listen notes what the child was answered, until it ends.
func (p *power) listen(t *testing.T, in *bufio.Scanner, lines int, kill func()) (n int) {
	for in.Scan() {
		what, id, _ := strings.Cut(in.Text(), " ")
		if what == noShim {
			t.Skip("LD_PRELOAD is not usable here, perhaps because the test is linked statically")
		}
		// The last line may have been cut by the kill.
		if len(id) != 36 {
			continue
		}
		p.told[id] = what
		if n++; n == lines {
			kill()
		}
	}
	return n
}

// real resolves symbolic links: the shim compares paths with the kernel's.
func real(t *testing.T, dir string) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// lucks are those to try after a cut: the strict disk, which keeps nothing that
// was not synced, and one that keeps some.
func (p *power) lucks() []float64 {
	return []float64{0, []float64{0.5, 0.9, 0.99}[p.rnd.IntN(3)]}
}

// sector is the least that a disk writes as a whole.
const sector = 512

// boot makes the disk that the machine finds after the cut: what was synced, and
// each sector that was not with the likelihood luck, in no order.
func (p *power) boot(t *testing.T, synced string, luck float64) string {
	t.Helper()
	lucky := func() bool { return p.rnd.Float64() < luck }
	to := t.TempDir()
	for _, name := range []string{FileName, FileName + "-wal", FileName + "-journal"} {
		kept, wasSynced := slurp(t, filepath.Join(synced, name))
		now, exists := slurp(t, filepath.Join(p.live, name))
		if !wasSynced && (!exists || !lucky()) {
			continue
		}
		size := len(kept)
		if exists && lucky() {
			size = len(now)
		}
		disk := make([]byte, size)
		copy(disk, kept)
		for at := 0; at < min(size, len(now)); at += sector {
			if lucky() {
				copy(disk[at:min(at+sector, size)], now[at:])
			}
		}
		if err := os.WriteFile(filepath.Join(to, name), disk, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// Go writes this one, past the shim, and syncs it.
	if lock, exists := slurp(t, filepath.Join(p.live, LockName)); exists {
		if err := os.WriteFile(filepath.Join(to, LockName), lock, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return to
}

func slurp(t *testing.T, path string) ([]byte, bool) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return data, err == nil
}

// lost looks for all that was answered in the store of dir, which must be sound.
func (p *power) lost(t *testing.T, dir string) (lost []string) {
	t.Helper()
	// Only a disk that was told to lose something may have lost what the lock file knows of.
	loses := p.level != ""
	if r, err := Check(t.Context(), dir, nil); err != nil || !r.OK() && !loses {
		t.Fatalf("after the cut: %+v, %v", r, err)
	}
	s, err := Open(t.Context(), dir, Options{AcceptOlder: loses})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	for text, what := range p.told {
		id, err := task.ParseID(text)
		if err != nil {
			t.Fatal(err)
		}
		got, err := s.Get(t.Context(), task.Scope{All: true}, id)
		switch {
		case task.CodeOf(err) == task.CodeNotFound:
			lost = append(lost, fmt.Sprintf("task %s was answered %s and is gone", text, what))
		case err != nil:
			t.Fatal(err)
		case !bytes.Equal(got.Input, powerInput(id)):
			lost = append(lost, fmt.Sprintf("task %s has another input", text))
		case got.State.String() != what && (what != "running" || got.State != task.Succeeded):
			// One that runs may have been settled, and nobody have heard the answer.
			lost = append(lost, fmt.Sprintf("task %s was answered %s and is %s", text, what, got.State))
		}
	}
	return lost
}

// TestCrashPowerCut: whatever was answered before a power cut is there after it,
// and the store is sound; also if some of what was not synced reached the disk.
func TestCrashPowerCut(t *testing.T) {
	machines, cuts := 1, 3
	if os.Getenv("TASKHOST_SOAK") != "" {
		machines, cuts = 60, 4
	}
	p := newPower(t, "")
	for machine := range machines {
		// Each in a test of its own, so that its disks are gone before the next.
		t.Run(strconv.Itoa(machine), func(t *testing.T) {
			p.live, p.told = t.TempDir(), map[string]string{}
			for cut := range cuts {
				p.cut(t, cut)
			}
		})
	}
}

// cut cuts the power once and looks at what is left.
func (p *power) cut(t *testing.T, cut int) {
	t.Helper()
	synced, _ := p.run(t, 100+p.rnd.IntN(2500), 0)
	for _, luck := range p.lucks() {
		if lost := p.lost(t, p.boot(t, synced, luck)); len(lost) > 0 {
			t.Fatalf("cut %d, luck %v: of %d lost %d: %s", cut, luck, len(p.told), len(lost), lost[0])
		}
	}
	// The next process finds the disk as it was cut, not as it was looked at.
	p.live = p.boot(t, synced, 0)
}

// TestPowerCutNormal: TestCrashPowerCut can fail. The same with synchronous=NORMAL,
// which the store refuses to open with, loses what was answered.
func TestPowerCutNormal(t *testing.T) {
	p := newPower(t, "NORMAL")
	for range 5 {
		p.live, p.told = t.TempDir(), map[string]string{}
		synced, _ := p.run(t, 100, 0)
		if lost := p.lost(t, p.boot(t, synced, 0)); len(lost) > 0 {
			t.Logf("of %d lost %d", len(p.told), len(lost))
			return
		}
	}
	t.Fatal("synchronous=NORMAL lost nothing: the test of the power cut can't see a missing sync")
}

// TestCrashPowerCutWhileOpening: a power cut at any sync of a store's first opening
// leaves what can be opened.
func TestCrashPowerCutWhileOpening(t *testing.T) {
	p := newPower(t, "")
	p.eachSync(t, t.TempDir(), func(cutAt int, luck float64, disk string) {
		s, err := Open(t.Context(), disk, Options{})
		if err != nil {
			t.Errorf("cut at sync %d, luck %v: %v", cutAt, luck, err)
			return
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestCrashPowerCutWhileRecovering: nor does a second power cut, while the store is
// opened after the first, lose anything.
func TestCrashPowerCutWhileRecovering(t *testing.T) {
	p := newPower(t, "")
	synced, _ := p.run(t, 100, 0)
	p.eachSync(t, p.boot(t, synced, 0), func(cutAt int, luck float64, disk string) {
		if lost := p.lost(t, disk); len(lost) > 0 {
			t.Fatalf("cut at sync %d, luck %v: of %d lost %d: %s", cutAt, luck, len(p.told), len(lost), lost[0])
		}
	})
}

// eachSync opens and closes the store of a disk again and again, the power cut
// at one sync later each time, until there is no further one.
func (p *power) eachSync(t *testing.T, disk string, look func(cutAt int, luck float64, disk string)) {
	t.Helper()
	for cutAt, killed := 1, true; killed; cutAt++ {
		p.live = t.TempDir()
		if err := os.CopyFS(p.live, os.DirFS(disk)); err != nil {
			t.Fatal(err)
		}
		var synced string
		synced, killed = p.run(t, 0, cutAt)
		if !killed && cutAt == 1 {
			t.Fatal("nothing was synced")
		}
		for _, luck := range p.lucks() {
			look(cutAt, luck, p.boot(t, synced, luck))
		}
	}
}

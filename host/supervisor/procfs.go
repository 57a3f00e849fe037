package supervisor

import (
	"bytes"
	"errors"
	"os"
	"strconv"
	"strings"
)

// What the kernel says of processes. On systems without /proc the sweep finds
// nothing, and the plugin's own watch over its host is what is left.

var errNoProcess = errors.New("no such process")

// stat is what is wanted of /proc/PID/stat.
type stat struct {
	state byte   // Z is a zombie: over, but not yet reaped
	pgrp  int    // process group
	start uint64 // in clock ticks since boot: with the pid it names a process for good
}

func readStat(pid int) (stat, error) {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return stat{}, err
	}
	return parseStat(data)
}

// parseStat reads after the last ')': the name before it may hold anything.
func parseStat(data []byte) (stat, error) {
	i := bytes.LastIndexByte(data, ')')
	if i < 0 {
		return stat{}, errNoProcess
	}
	f := strings.Fields(string(data[i+1:]))
	if len(f) < 20 || len(f[0]) != 1 {
		return stat{}, errNoProcess
	}
	pgrp, err := strconv.Atoi(f[2])
	if err != nil {
		return stat{}, errNoProcess
	}
	start, err := strconv.ParseUint(f[19], 10, 64)
	if err != nil {
		return stat{}, errNoProcess
	}
	return stat{state: f[0][0], pgrp: pgrp, start: start}, nil
}

func startTime(pid int) (uint64, error) {
	s, err := readStat(pid)
	return s.start, err
}

// alive says whether the process that started at start still runs.
func alive(pid int, start uint64) bool {
	s, err := readStat(pid)
	return err == nil && s.start == start && s.state != 'Z' && s.state != 'X'
}

// bootID changes with every boot, and with it the meaning of start times.
func bootID() string {
	data, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(data))
}

// processesMarked are the processes whose environment carries one of the instance ids.
// Those of other users cannot be read, and are not ours.
func processesMarked(ids map[string]bool) []int {
	entries, err := os.ReadDir("/proc")
	if err != nil || len(ids) == 0 {
		return nil
	}
	var pids []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		environ, err := os.ReadFile("/proc/" + e.Name() + "/environ")
		if err != nil {
			continue
		}
		for kv := range bytes.SplitSeq(environ, []byte{0}) {
			if id, ok := bytes.CutPrefix(kv, []byte(instanceVar+"=")); ok && ids[string(id)] {
				pids = append(pids, pid)
				break
			}
		}
	}
	return pids
}

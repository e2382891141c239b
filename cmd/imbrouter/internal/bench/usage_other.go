//go:build !linux

package bench

import "time"

const usageIsTold = false

func peakMemory(int) int64      { return 0 }
func presentMemory(int) int64   { return 0 }
func usedCPU(int) time.Duration { return 0 }

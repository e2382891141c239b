//go:build race

package imb_test

const raceEnabled = true

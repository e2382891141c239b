//go:build !race

package imb_test

const raceEnabled = false

package dir

import (
	"os"
	"strconv"
	"strings"
)

// maxWatches returns how many folders a user may watch, 0 when that is not known.
func maxWatches() int {
	text, err := os.ReadFile("/proc/sys/fs/inotify/max_user_watches")
	if err != nil {
		return 0
	}
	n, _ := strconv.Atoi(strings.TrimSpace(string(text)))
	return n
}

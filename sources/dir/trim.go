package dir

import (
	"context"
	"path/filepath"

	"imbrouter/router/retention"
)

// trim keeps what was sent, and what cannot be sent, within the limits of the
// configuration until ctx ends. Nothing else in the folder is touched.
func (s *session) trim(ctx context.Context) {
	d, c := s.delivery.folder, s.config
	folders := []retention.Folder{
		{Root: d.root, Dir: sentDir, Limits: c.sent(), Here: d.isHere, Names: &d.names},
		{Root: d.root, Dir: failedDir, Limits: c.failed(), Here: d.isHere, Names: &d.names, Notes: true},
	}
	log := retention.NewLog(s.log)
	defer log.Close()
	retention.Every(ctx, func() {
		for _, f := range folders {
			removed, err := f.Trim(ctx)
			log.Trimmed(filepath.Join(d.path, f.Dir), removed, err)
		}
	})
}

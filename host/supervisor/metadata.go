package supervisor

import (
	"context"
	"fmt"

	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/sdk"
)

// Metadata starts the plugin of config once, asks what it is, and ends it: it gets no config.
// It runs in dataDir, which is made with mode 0700. A plugin that is too old to be asked says
// nothing. The error is why the plugin does not come up, with its last words.
func (s *Supervisor) Metadata(ctx context.Context, config task.ExecutorConfig, dataDir string) (sdk.Metadata, error) {
	if err := s.checkConfig(config); err != nil {
		return sdk.Metadata{}, err
	}
	e := newExecutor(s, config, dataDir)
	ctx, cancel := context.WithTimeout(ctx, e.options.StartTimeout)
	defer cancel()
	inst := e.newInstance()
	defer inst.end()
	answer, err := e.dispense(ctx, inst, sdk.MetadataSide(e.options.StartTimeout))
	if err != nil {
		return sdk.Metadata{}, err
	}
	m, ok := answer.(sdk.Metadata)
	if !ok {
		return sdk.Metadata{}, fmt.Errorf("sdk gave a %T instead of metadata", answer)
	}
	return m, nil
}

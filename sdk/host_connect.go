package sdk

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/taskhost/taskhost/sdk/internal/executorpb"
)

// connect configures the plugin behind cc and opens both streams. ctx ends the
// connection too.
func connect(ctx context.Context, cc grpc.ClientConnInterface, o HostOptions) (*connection, error) {
	if o.Start <= 0 {
		o.Start = 30 * time.Second
	}
	if o.Silence <= 0 {
		o.Silence = 5 * time.Second
	}
	name := o.Config.Executor
	c := newConnection(ctx, pb.NewExecutorServiceClient(cc), o)
	late := time.AfterFunc(o.Start, func() {
		c.cancel(fmt.Errorf("executor %q: the plugin was not ready within %s", name, o.Start))
	})
	err := c.open()
	if late.Stop() && err == nil {
		c.startLoops()
		return c, nil
	}
	if cause := context.Cause(c.ctx); cause != nil {
		err = cause
	}
	c.cancel(err)
	return nil, err
}

// open speaks to the plugin up to its hello.
func (c *connection) open() error {
	cfg := c.options.Config
	if err := c.checkConfig(); err != nil {
		return err
	}
	_, err := c.client.Configure(c.ctx, &pb.ConfigureRequest{Executor: cfg.Executor, Config: cfg.data,
		DataDir: cfg.DataDir, HostUrl: cfg.HostURL, Slots: int64(cfg.Slots),
		Epoch: c.options.Epoch, Survive: c.options.Survive, ConfigDir: cfg.Dir, Spawns: true})
	if status.Code(err) == codes.InvalidArgument {
		return fmt.Errorf("executor %q: %w: %s", cfg.Executor, ErrConfigRefused, clip(status.Convert(err).Message(), maxText))
	}
	if err != nil {
		return fmt.Errorf("configure executor %q: %w", cfg.Executor, err)
	}
	if c.control, err = c.client.Control(c.ctx, grpc.ForceCodecV2(newFrameCodec())); err == nil {
		err = c.control.Send(&pb.ControlRequest{Epoch: c.options.Epoch})
	}
	if err != nil {
		return fmt.Errorf("open the control stream of executor %q: %w", cfg.Executor, err)
	}
	c.firstFrame, err = c.control.Recv()
	if err != nil {
		return fmt.Errorf("open the control stream of executor %q: %w", cfg.Executor, err)
	}
	h := c.firstFrame.GetMessages()
	if len(h) == 0 || h[0].GetHello() == nil {
		return fmt.Errorf("executor %q: the plugin's first message is not Hello", cfg.Executor)
	}
	if n := len(h[0].GetHello().GetRunning()) + len(h[0].GetHello().GetFinished()); n > maxUnknown {
		return fmt.Errorf("executor %q: the plugin's Hello names %d attempts, at most %d are taken", cfg.Executor, n, maxUnknown)
	}
	c.setHello(h[0].GetHello())
	if c.data, err = c.client.Data(c.ctx); err == nil {
		err = c.data.Send(&pb.DataRequest{Epoch: c.options.Epoch})
	}
	if err != nil {
		return fmt.Errorf("open the data stream of executor %q: %w", cfg.Executor, err)
	}
	return nil
}

// checkConfig has the host's own check refuse the config, by what the plugin says of it.
func (c *connection) checkConfig() error {
	if c.options.Check == nil {
		return nil
	}
	name := c.options.Config.Executor
	m, err := askMetadata(c.ctx, c.client)
	if err != nil {
		return fmt.Errorf("executor %q: %w", name, err)
	}
	if err := c.options.Check(m); err != nil {
		return fmt.Errorf("executor %q: %w: %w", name, ErrConfigRefused, err)
	}
	return nil
}

// askMetadata asks a plugin what it is. One that does not know the question says nothing.
func askMetadata(ctx context.Context, client pb.ExecutorServiceClient) (Metadata, error) {
	resp, err := client.Metadata(ctx, &pb.MetadataRequest{})
	if status.Code(err) == codes.Unimplemented {
		return Metadata{}, nil
	}
	if err == nil {
		err = boundedMetadata(resp)
	}
	if err != nil {
		return Metadata{}, fmt.Errorf("ask the plugin what it is: %w", err)
	}
	return metadataFromWire(resp), nil
}

// Describe asks the plugin what it offers.
func (c *connection) Describe(ctx context.Context) (Info, error) {
	resp, err := c.client.Describe(ctx, &pb.DescribeRequest{})
	if err != nil {
		return Info{}, fmt.Errorf("describe executor %q: %w", c.options.Config.Executor, err)
	}
	if err := boundedInfo(resp.GetInfo()); err != nil {
		return Info{}, fmt.Errorf("describe executor %q: %w", c.options.Config.Executor, err)
	}
	info := infoFromWire(resp.GetInfo())
	info.Outlives = info.Outlives || c.options.Survive
	for i := range info.Types {
		if t := &info.Types[i]; t.Version == "" && !info.Deferred && ValidVersion(c.hello.Version) { // behind others, they say it
			t.Version = c.hello.Version
		}
	}
	return info, nil
}

// ControlNode has the plugin tell one of its nodes.
func (c *connection) ControlNode(ctx context.Context, node, action string) error {
	_, err := c.client.ControlNode(ctx, &pb.ControlNodeRequest{Node: node, Action: action})
	if err == nil {
		return nil
	}
	name, said := c.options.Config.Executor, clip(status.Convert(err).Message(), maxText)
	switch status.Code(err) {
	case codes.NotFound:
		return fmt.Errorf("executor %q: %w: %s", name, ErrUnknownNode, said)
	case codes.InvalidArgument:
		return fmt.Errorf("executor %q: %w: %s", name, ErrUnknownAction, said)
	case codes.AlreadyExists:
		return fmt.Errorf("executor %q: %w: %s", name, ErrNodeUnchanged, said)
	case codes.Unimplemented:
		return fmt.Errorf("executor %q does not control its nodes", name)
	}
	return fmt.Errorf("executor %q: %s", name, said)
}

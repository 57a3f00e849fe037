package sdk

import (
	"context"
	"fmt"

	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	pb "github.com/taskhost/taskhost/sdk/internal/executorpb"
)

// PluginSide is the plugin's half as go-plugin takes it, for a program that does
// not use Serve and for tests: one executor, made by the first host's config. Use
// it with PluginGRPCServer.
func PluginSide(p Plugin) plugin.PluginSet {
	return plugin.PluginSet{PluginKey: &pluginSide{server: newServer(p)}}
}

// PluginGRPCServer makes a server that speaks the protocol: it takes what Control carries as its
// bytes, and has the protocol's bounds, where go-plugin's own takes 4 MiB a message. The windows
// keep a full Data stream from holding up Control, which shares its connection.
func PluginGRPCServer(opts []grpc.ServerOption) *grpc.Server {
	return grpc.NewServer(append(opts,
		grpc.ForceServerCodecV2(newFrameCodec()), grpc.MaxRecvMsgSize(maxMessage), grpc.MaxSendMsgSize(maxMessage),
		grpc.InitialWindowSize(streamWindow), grpc.InitialConnWindowSize(connWindow),
		grpc.WriteBufferSize(ioBuffer), grpc.ReadBufferSize(ioBuffer))...)
}

const (
	streamWindow = 1 << 20
	connWindow   = 8 << 20
	ioBuffer     = 128 << 10
)

type pluginSide struct {
	plugin.NetRPCUnsupportedPlugin
	server *server
}

func (p *pluginSide) GRPCServer(_ *plugin.GRPCBroker, g *grpc.Server) error {
	pb.RegisterExecutorServiceServer(g, p.server)
	return nil
}

func (p *pluginSide) GRPCClient(context.Context, *plugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return nil, fmt.Errorf("this is the plugin's side; the host dispenses from HostSide")
}

// Handshake is what host and plugin say to one another before they speak gRPC:
// it keeps a plugin from being run by hand by mistake, and names the protocol's
// version. It is no secret.
func Handshake() plugin.HandshakeConfig {
	return plugin.HandshakeConfig{
		ProtocolVersion:  1,
		MagicCookieKey:   "TASKHOST_PLUGIN",
		MagicCookieValue: "3d6a5b0e-executor",
	}
}

// PluginKey is the name under which a plugin process serves its executor.
const PluginKey = "executor"

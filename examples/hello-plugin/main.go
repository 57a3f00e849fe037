// Hello-plugin is the shortest useful plugin: one task type, "greet".
package main

import (
	"context"
	"errors"

	"github.com/taskhost/taskhost/sdk"
)

type greetInput struct {
	Name string `json:"name" jsonschema:"who is to be greeted"`
}

type greeting struct {
	Message string `json:"message"`
}

func greet(_ context.Context, in greetInput, r sdk.Reporter) (greeting, error) {
	if in.Name == "" {
		return greeting{}, sdk.Permanent(errors.New("name is empty"))
	}
	r.Log().Info("greeting", "name", in.Name)
	return greeting{Message: "Hello, " + in.Name + "!"}, nil
}

func hello() sdk.Plugin {
	return sdk.Plugin{Name: "hello", Version: "1.0.0",
		New: sdk.Scripts(sdk.Func("greet", greet).Described("says hello"))}
}

func main() { sdk.Serve(hello()) }

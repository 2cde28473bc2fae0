package service

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/isolrun/isol/test/hcsemu"
	"github.com/isolrun/isol/test/hcsemu/wire"
)

// adminPrefix begins the names of administration requests. Their arguments
// and answers are JSON, one string each.
const adminPrefix = "hcsemu."

// The administration requests.
const (
	AdminLedger     = adminPrefix + "Ledger"     // → hcsemu.Ledger
	AdminCalls      = adminPrefix + "Calls"      // hcsemu.CallFilter → []hcsemu.Call
	AdminAddFaults  = adminPrefix + "AddFaults"  // a fault plan
	AdminFaults     = adminPrefix + "SetFaults"  // a fault plan, in place of the one before
	AdminRelease    = adminPrefix + "Release"    // a hang's name → how many calls it held
	AdminHanging    = adminPrefix + "Hanging"    // a hang's name → how many calls it holds
	AdminCrash      = adminPrefix + "Crash"      // a system's id
	AdminDisconnect = adminPrefix + "Disconnect" // the compute service goes down
	AdminRestore    = adminPrefix + "Restore"    // and comes back
	AdminStop       = adminPrefix + "Stop"       // the emulator ends
	AdminMachines   = adminPrefix + "Machines"   // → what Machines.List answers
	AdminMachine    = adminPrefix + "Machine"    // a verb, a space, a system's id → what Machines.Do answers
)

// adminHandler reads the argument of an administration request.
type adminHandler func(a *wire.Args) (work, error)

func (s *Server) adminHandlers() map[string]adminHandler {
	e := s.config.Emulator
	return map[string]adminHandler{
		AdminLedger: answers(func(string) (any, error) { return e.Ledger(), nil }),
		AdminCalls: answers(func(filter string) (any, error) {
			var f hcsemu.CallFilter
			if filter != "" {
				if err := json.Unmarshal([]byte(filter), &f); err != nil {
					return nil, invalid(err)
				}
			}
			return e.Calls(f), nil
		}),
		AdminAddFaults: answers(func(plan string) (any, error) { return nil, s.addFaults(plan) }),
		AdminFaults: answers(func(plan string) (any, error) {
			e.ClearFaults()
			return nil, s.addFaults(plan)
		}),
		AdminRelease:    answers(func(name string) (any, error) { return e.Release(name), nil }),
		AdminHanging:    answers(func(name string) (any, error) { return e.Hanging(name), nil }),
		AdminCrash:      answers(func(id string) (any, error) { return nil, e.Crash(id) }),
		AdminDisconnect: answers(func(string) (any, error) { e.DisconnectService(); return nil, nil }),
		AdminRestore:    answers(func(string) (any, error) { e.RestoreService(); return nil, nil }),
		AdminStop:       answers(func(string) (any, error) { s.Stop(); return nil, nil }),
		AdminMachines: answers(func(string) (any, error) {
			if s.config.Machines == nil {
				return []any{}, nil
			}
			return s.config.Machines.List(), nil
		}),
		AdminMachine: answers(s.onMachine),
	}
}

// answers wraps what takes one string and gives something to encode.
func answers(f func(string) (any, error)) adminHandler {
	return func(a *wire.Args) (work, error) {
		argument := a.Text()
		if err := a.End(); err != nil {
			return nil, invalid(err)
		}
		return func(context.Context) ([]wire.Value, error) {
			answer, err := f(argument)
			if err != nil || answer == nil {
				return nil, err
			}
			b, err := json.Marshal(answer)
			return []wire.Value{wire.String(string(b))}, err
		}, nil
	}
}

// machineTimeout bounds what a guest may take to answer.
const machineTimeout = 10 * time.Second

func (s *Server) onMachine(argument string) (any, error) {
	verb, id, ok := strings.Cut(argument, " ")
	if !ok || s.config.Machines == nil {
		return nil, invalid(errors.New("a verb and the id of a machine that has a guest are needed"))
	}
	ctx, cancel := context.WithTimeout(context.Background(), machineTimeout)
	defer cancel()
	return s.config.Machines.Do(ctx, verb, id)
}

func invalid(err error) error {
	return &hcsemu.Error{Code: hcsemu.EInvalidArg, Message: err.Error()}
}

func (s *Server) addFaults(plan string) error {
	if plan == "" {
		return nil
	}
	faults, err := hcsemu.ParseFaults([]byte(plan))
	if err != nil {
		return invalid(err)
	}
	if err := s.config.Emulator.AddFaults(faults...); err != nil {
		return invalid(err)
	}
	return nil
}

package hcsemu

import "context"

// EventType is a HCS_EVENT_TYPE. Source:
// https://learn.microsoft.com/virtualization/api/hcs/reference/hcseventtype
type EventType uint32

// Event types that the emulator sends.
const (
	EventSystemExited         EventType = 0x00000001 // HcsEventSystemExited
	EventSystemCrashInitiated EventType = 0x00000002 // HcsEventSystemCrashInitiated
	EventSystemCrashReport    EventType = 0x00000003 // HcsEventSystemCrashReport
	EventProcessExited        EventType = 0x00010000 // HcsEventProcessExited
	EventServiceDisconnect    EventType = 0x02000000 // HcsEventServiceDisconnect
)

// String returns the name that fault plans use.
func (t EventType) String() string {
	switch t {
	case EventSystemExited:
		return "SystemExited"
	case EventSystemCrashInitiated:
		return "SystemCrashInitiated"
	case EventSystemCrashReport:
		return "SystemCrashReport"
	case EventProcessExited:
		return "ProcessExited"
	case EventServiceDisconnect:
		return "ServiceDisconnect"
	}
	return "Unknown"
}

// Event is what a subscription gets.
type Event struct {
	Type   EventType
	Data   string  // JSON, as computecore.dll's HCS_EVENT has it
	Status HRESULT // as vmcompute.dll's callback has it: 0 for an orderly end
}

// subscription is one registration of a callback on a handle.
type subscription struct {
	handle  Handle
	api     API
	system  *system  // one of the two
	process *process // is set
	f       func(Event)
}

type delivery struct {
	sub   *subscription
	event Event
}

// disconnectV1 is ServiceDisconnect as vmcompute.dll numbers it. As runhcs
// relies on it: hcsNotificationServiceDisconnect of hcsshim v0.14.1.
const disconnectV1 EventType = 0x01000000

// Subscribe calls f for each event of the system or process that h stands for.
// Calls of one session come in order and one at a time. No call of f begins
// after cancel has returned; one that has begun may still run. Closing the
// handle cancels too.
//
// A registration after the end gets the event that it missed, once: hcsshim
// opens a system or process, then registers, then waits without another look
// at its state, so the service must tell late comers.
func (c *Client) Subscribe(h Handle, f func(Event)) (cancel func(), err error) {
	e, s := c.e, c.session
	sub := &subscription{handle: h, api: c.api, f: f}
	function := "HcsSetComputeSystemCallback"
	if _, pid := s.subjectOf(h); pid != 0 {
		function = "HcsSetProcessCallback"
	}
	cancel = func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		delete(s.subscriptions, sub)
	}
	req := request{function: function, about: h, args: Args{"handle": uint64(h)}, undo: func(context.Context) { cancel() }}
	err = c.simple(context.Background(), req, func(context.Context) error {
		e.mu.Lock()
		defer e.mu.Unlock()
		return s.registerLocked(sub)
	})
	if err != nil {
		return nil, err
	}
	return cancel, nil
}

func (s *session) registerLocked(sub *subscription) error {
	r, err := s.lookupLocked(sub.handle)
	if err != nil {
		return err
	}
	sub.system, sub.process = r.system, r.process
	s.subscriptions[sub] = true
	switch {
	case sub.system != nil && sub.system.state == stateStopped:
		s.postLocked(sub, sub.system.exit.event(s.e.config.Build))
	case sub.process != nil && sub.process.exited:
		s.postLocked(sub, sub.process.event())
	case r.object == nil && sub.api == VMCompute && sub.system == nil && sub.process == nil:
		// The handle of a create that is under way, or that failed: see
		// Client.CreateSystem.
	case sub.system == nil && sub.process == nil:
		delete(s.subscriptions, sub)
		return fail(EHandle, "handle %d has no events", sub.handle)
	}
	return nil
}

// publishLocked queues ev for every subscription to the system or process.
func (e *Emulator) publishLocked(sys *system, proc *process, ev Event) {
	if e.dropLocked(ev.Type) {
		return
	}
	for s := range e.clients {
		for sub := range s.subscriptions {
			if proc != nil && sub.process == proc || proc == nil && sub.system == sys {
				s.postLocked(sub, ev)
			}
		}
	}
}

// postLocked queues one event and sees to it that a goroutine delivers it. The
// goroutine ends with the queue, so an idle session has none.
func (s *session) postLocked(sub *subscription, ev Event) {
	s.queue = append(s.queue, delivery{sub, ev})
	if !s.delivering {
		s.delivering = true
		go s.deliver()
	}
}

func (s *session) deliver() {
	for {
		s.e.mu.Lock()
		if len(s.queue) == 0 {
			s.delivering = false
			s.e.mu.Unlock()
			return
		}
		d := s.queue[0]
		s.queue = s.queue[1:]
		wanted := s.subscriptions[d.sub]
		s.e.mu.Unlock()
		if d.sub.api == VMCompute && d.event.Type == EventServiceDisconnect {
			d.event.Type = disconnectV1
		}
		if wanted {
			d.sub.f(d.event)
		}
	}
}

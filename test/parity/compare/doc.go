// Package compare says what two shims did otherwise in one scenario, and
// whether there is a reason.
//
//	Raw ──Observe──▶ Observation ─┐
//	                              ├─Compare──▶ []Difference ──Judge(rules)──▶ Verdict
//	Raw ──Observe──▶ Observation ─┘
//
// [Observe] puts names in place of what differs from run to run and leaves out
// what is no difference ([Translations]). [Compare] aligns the calls of both
// (longest common subsequence) and compares what it paired member by member: a
// call that only one shim made, one that came in another order, and each
// member that differs is a [Difference] with a path. [Judge] looks for the
// [Rule] that explains each.
//
// All of it is plain values: nothing here runs anything.
package compare

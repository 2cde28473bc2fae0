package main

import (
	"slices"

	"github.com/isolrun/isol/test/parity/compare"
)

// rules explain every difference that is meant, the first that fits. Those
// about what cannot run come first, since they say why nothing else was compared.
var rules = slices.Concat(refusalRules, answerRules, callRules, vmRules, networkRules)

const none = compare.None

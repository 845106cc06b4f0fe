package owners

// Hold is what a process does to be known as running; a test's other process does it too.
var Hold = hold

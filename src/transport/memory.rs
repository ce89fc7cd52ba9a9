//! A source and a sink in memory, with scripted input, acknowledgements and faults.

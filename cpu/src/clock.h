// The processor's clock, for benchmarks that count cycles.
#pragma once

namespace flipflow {

// GHz at which this core runs now: the time of a chain of additions that depend on each other, one a cycle on every core there is.
// Takes some milliseconds; the fastest of several chains, so that an interruption does not count.
double clock_ghz();

}  // namespace flipflow

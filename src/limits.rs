//! Every fixed bound of the program, named once; what a user may choose stands in `config` instead.

/// Partitions that one process can own at the same time, over all topics.
pub const PARTITIONS_MAX: usize = 4096;

/// Topics that a pipeline's results can go to.
pub const RESULT_TOPICS_MAX: usize = 63;

/// Topics that a run writes to: those, that of its state, and that of its dead letters.
pub const DESTINATIONS_MAX: usize = RESULT_TOPICS_MAX + 2;

/// Results of one record, which `each` makes of a list.
pub const RESULTS_PER_RECORD_MAX: usize = 4096;

/// Bytes of one record's results, together.
pub const RESULTS_BYTES_MAX: usize = 64 << 20;

/// Redis Streams that one source reads.
pub const STREAMS_MAX: usize = 256;

/// Entries of Redis Streams that are lent and not acknowledged, over all streams; past it nothing
/// is taken before a commit.
pub const ENTRIES_UNACKED_MAX: usize = 1 << 18;

/// Results on their way to Redis Streams; past it the sink is full.
pub const STREAM_RESULTS_MAX: usize = 1 << 16;

/// Tables in one pipeline.
pub const TABLES_MAX: usize = 32;

/// Unlinked bytes of one table that may wait for the hot thread's echo; past it the writer waits.
pub const TABLE_RETIRED_BYTES_MAX: usize = 64 << 20;

/// Keys that a table's refresher reads in one round.
pub const TABLE_ROUND_KEYS_MAX: usize = 8192;

/// Keys in one `MGET`.
pub const TABLE_MGET_KEYS_MAX: usize = 512;

/// Keys that a table's refresher has `SCAN` look at in one page.
pub const TABLE_PAGE_KEYS_MAX: usize = 2000;

/// The same while a whole copy is compared with its source, so that changes need not wait for long.
pub const TABLE_VERIFY_PAGE_KEYS_MAX: usize = 500;

/// Bytes of values that one reply of a Redis is to bring; one value may be larger.
pub const TABLE_REPLY_BYTES: usize = 4 << 20;

/// Bytes of values that a round is to bring; one value may be larger.
pub const TABLE_ROUND_BYTES: usize = 16 << 20;

/// Keys known to have changed that wait to be read; past it the whole table is read again.
pub const TABLE_DIRTY_KEYS_MAX: usize = 1 << 20;

/// Keys that one table on demand can be asked for before its side thread has heard them.
pub const TABLE_QUESTIONS_MAX: usize = 4096;

/// Bytes of a key for which room is taken at start in each of those questions.
pub const TABLE_QUESTION_BYTES: usize = 256;

/// Records that wait aside at most to be tried again, beside those for tables on demand.
pub const RETRIED_WAITING_MAX: usize = 10_000;

/// Records that wait aside of which one turn looks whether they have an answer.
pub const WAITING_LOOKED_AT_MAX: usize = 1024;

/// Exactly once: records that are remembered because the broker refused their results.
pub const SUSPECTS_MAX: usize = 1024;

/// Exactly once: emitted records of one transaction of which times are kept until it is committed;
/// it is committed before there are more.
pub const UNCOMMITTED_TIMES_MAX: usize = 1 << 18;

/// Exactly once: results that gather while a transaction is committed.
pub const GATHERED_RESULTS_MAX: usize = 1 << 14;

/// Bytes that the expressions of one record may make; what stands in the record is not made.
pub const EXPRESSION_BYTES_MAX: usize = 64 << 20;

/// Turns of loops that the expressions of one record may take.
pub const EXPRESSION_TURNS_MAX: usize = 1_000_000;
/// Entries of state that one turn puts back at most.
pub const RESTORED_PER_TURN_MAX: usize = 128;

/// Buffers in which entries of the state topic go from the side thread to the hot thread.
pub const RESTORE_BATCHES: usize = 32;

/// Bytes of entries in one of them, about: one entry may be larger.
pub const RESTORE_BATCH_BYTES: usize = 64 << 10;

/// Partitions of the state topic that are read at the same time.
pub const RESTORE_PARTITIONS_AT_ONCE: usize = 8;

/// Bytes of a sentence that travels by value (reject reasons, trouble).
pub const SENTENCE_BYTES: usize = 240;

/// Records that the in-flight ring holds at most; a power of two. `limits.in_flight` stays below.
pub const IN_FLIGHT_MAX: usize = 1 << 20;

/// Settled records that a breaker looks at, at most: nine bytes each, twice.
pub const BREAKER_WINDOW_MAX: usize = 1_000_000;

/// Bytes of the payload that a dead letter keeps when the broker refused the whole for its size.
pub const CUT_LETTER_BYTES: usize = 64 << 10;

/// Consumer groups that are asked whether they read a topic, before records go back into it.
pub const GROUPS_ASKED_MAX: usize = 1000;

/// Letters that are counted apart by each of class, step, source partition and hour; the letters of
/// further ones share one place.
pub const LETTERS_COUNTED_APART_MAX: usize = 1000;

/// Dead letters that are shown as samples.
pub const LETTERS_SHOWN_MAX: usize = 1000;

/// Entries of a stream of which one trims it, at most.
pub const STREAM_TRIM_EVERY_MAX: u64 = 64;

/// Entries of a stream that are read at once by who reads all of it, …
pub const STREAM_PAGE_ENTRIES: usize = 256;

/// … fewer where those take more than that, bytes.
pub const STREAM_PAGE_BYTES: usize = 4 << 20;

/// Dead letters in one transaction of a replay.
pub const REPLAY_BATCH_LETTERS: usize = 500;

/// Bytes of their copies, about: one letter may be larger.
pub const REPLAY_BATCH_BYTES: usize = 8 << 20;

/// Levels of a ramp of `measure`.
pub const RAMP_LEVELS_MAX: usize = 64;

/// Records of one level of `measure` that are told apart.
pub const MEASURED_RECORDS_MAX: u64 = 1 << 30;

/// Values are recorded from one nanosecond …
pub const LATENCY_NS_MIN: u64 = 1;

/// … to one hour; what is outside is counted apart.
pub const LATENCY_NS_MAX: u64 = 3_600_000_000_000;

/// With `latency.stages = "sampled"` one record in so many has its stages measured; a power of two.
pub const SAMPLED_ONE_IN: u64 = 64;

/// A histogram log that is longer goes on in another file.
pub const LOG_FILE_BYTES_MAX: u64 = 64 << 20;

/// The slowest records of an interval, which always leave a line.
pub const SLOWEST_RECORDS: usize = 10;

/// Records of an interval that leave a line at most, the slowest included.
pub const SLOW_RECORDS_MAX: usize = 100;

/// Stalls of an interval that are kept.
pub const STALLS_MAX: usize = 64;

/// Two readings of the hot thread's clock this far apart, in nanoseconds, are a stall: some hundred
/// times what lies between them else.
pub const STALL_NS_MIN: u64 = 200_000;

/// How old, in nanoseconds, what a stall is compared with may become before a turn without work
/// renews it. A thread that sleeps for longer renews it when it wakes.
pub const READING_NS_MAX: u64 = 10_000_000;

/// Changes of regime that are remembered, to say what the hot thread did while a record was slow.
pub const REGIMES_REMEMBERED: usize = 64;

/// Names that are kept of those who ran on a core that `jitter` watches.
pub const NEIGHBOURS_MAX: usize = 32;

/// Significant decimal digits of a recorded value.
pub const LATENCY_DIGITS: u8 = 3;

/// Classes (of skips, of rejects) that are counted apart; more than there are.
pub const CLASSES_MAX: usize = 32;

/// Steps of a pipeline that are counted apart; later ones share the last place.
pub const STEPS_COUNTED_MAX: usize = 64;

/// Steps of a pipeline that keep state, at most.
pub const STATEFUL_STEPS_MAX: usize = 8;

/// Results of state that one turn takes in at most.
pub const GIVEN_OFF_PER_TURN_MAX: usize = 256;

/// Changes of state that one turn hands over at most.
pub const CHANGES_PER_TURN_MAX: usize = 1024;

/// Notices from the hot thread that wait for the observer; further ones are counted, not kept.
pub const NOTICES_MAX: usize = 256;

/// Stretches of time that a report draws.
pub const REPORT_COLUMNS_MAX: usize = 100;

/// Stretches of one log by which a report judges how much its percentiles vary.
pub const REPORT_CELLS_MAX: usize = 60;

/// Slow records that a report shows.
pub const REPORT_SLOW_MAX: usize = 50;

/// Keys that one partition of a step with state may have.
pub const STATE_KEYS_MAX: u64 = 1 << 27;

/// Keys of a step with state that one turn brings near; further records pay their misses.
pub const STATE_KEYS_FORESEEN_MAX: usize = 1024;

/// What a window step computes at most.
pub const AGGREGATES_MAX: usize = 32;

/// Hopping windows that contain one time, at most.
pub const OVERLAPPING_WINDOWS_MAX: u128 = 1000;

/// Entries of state that one commit deletes at most; the rest is the next one's.
pub const STATE_DELETIONS_MAX: usize = 1 << 18;

/// Bytes of one key's windows, the key included: an entry of the state's topic is one record.
pub const STATE_ENTRY_BYTES_MAX: usize = 512 << 10;

/// Bins of a quantile: values from one to some eight hundred million apart each keep their own.
pub const QUANTILE_BINS_MAX: usize = 1024;

/// Values that a window collects at most.
pub const COLLECTED_MAX: u32 = 1000;

const _: () = assert!(RESULTS_PER_RECORD_MAX <= u16::MAX as usize);
const _: () = assert!(DESTINATIONS_MAX <= u8::MAX as usize);
const _: () = assert!(IN_FLIGHT_MAX.is_power_of_two());
const _: () = assert!(SENTENCE_BYTES <= u8::MAX as usize);

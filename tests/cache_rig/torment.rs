//! The chaos run: starts the clients and the reader, torments the server, and checks.
//!
//! `SWAPDB` is left out: no message tells of it, so that what a copy says of its age holds only up
//! to the next verifying pass, which has a test of its own.

use std::{
    collections::BTreeMap,
    fs,
    ops::ControlFlow::Continue,
    path::PathBuf,
    sync::{
        atomic::Ordering::Relaxed,
        mpsc::{self, Sender},
    },
    thread,
    time::{Duration, Instant},
};

use hotspur::{
    cache::{self, TableHandle, Tables},
    config::settings::{OnDemand, RedisKind, RedisTable, Refresh, Table, TablePlace},
};
use rand::{RngExt, SeedableRng, rngs::SmallRng};
use redis::{Connection, cmd};

use crate::{
    cache_rig::DEADLINE,
    clients::{Writer, urls},
    history::{Nanos, Version, Window},
    lookups::{Answer, Cost, Entry, Lookups, Request},
    relay::Relay,
    server::Server,
    world::{DATABASES, Group, Held, Key, Kind, World},
};

const GROUPS: [Group; 5] = [
    Group { database: 0, prefix: "text:", kind: Kind::Text, keys: 240 },
    Group { database: 0, prefix: "text:inner:", kind: Kind::Text, keys: 80 },
    Group { database: 0, prefix: "json:", kind: Kind::Json, keys: 120 },
    Group { database: 0, prefix: "hash:", kind: Kind::Hash, keys: 120 },
    Group { database: 3, prefix: "text:", kind: Kind::Text, keys: 120 },
];

const CLIENTS: usize = 4;

/// A table on demand that has no room for all keys has room for fewer than that.
const FEW: usize = 100;

/// One table of the run.
struct Copy {
    name: &'static str,
    database: u8,
    prefix: &'static str,
    kind: RedisKind,
    refresh: Refresh,
    verify_interval: Duration,
    /// It holds what was asked for, so many at most.
    on_demand: Option<usize>,
    /// What the server says reaches it through a relay that is slow at times.
    is_far: bool,
}

fn copies() -> Vec<Copy> {
    let copy = |name, database, prefix, kind| Copy {
        name,
        database,
        prefix,
        kind,
        refresh: Refresh::Tracking,
        verify_interval: Duration::from_secs(60),
        on_demand: None,
        is_far: false,
    };
    let verify_interval = Duration::from_millis(300);
    let poll = Refresh::Poll(Duration::from_millis(100));
    vec![
        copy("outer", 0, "text:", RedisKind::String),
        copy("inner", 0, "text:inner:", RedisKind::String),
        copy("json", 0, "json:", RedisKind::Json),
        copy("hash", 0, "hash:", RedisKind::Hash(None)),
        copy("other database", 3, "", RedisKind::String),
        Copy { verify_interval, ..copy("verified", 0, "text:", RedisKind::String) },
        Copy { on_demand: Some(10_000), ..copy("on demand", 0, "", RedisKind::String) },
        Copy { on_demand: Some(FEW / 2), ..copy("few", 3, "text:", RedisKind::String) },
        Copy { is_far: true, ..copy("far", 0, "text:", RedisKind::String) },
        Copy { refresh: poll, ..copy("polled", 0, "text:", RedisKind::String) },
    ]
}

impl Copy {
    fn holds(&self, key: &Key) -> bool {
        let is_read = match self.kind {
            RedisKind::String | RedisKind::Json => key.kind != Kind::Hash,
            RedisKind::Hash(_) => key.kind == Kind::Hash,
        };
        key.database == self.database && key.name.starts_with(self.prefix) && is_read
    }
}

fn on_demand(max_entries: usize) -> OnDemand {
    OnDemand {
        max_entries,
        max_bytes: 64 << 20,
        absent_for: Duration::from_secs(2),
        max_waiting: 1000,
        wait: Duration::from_millis(100),
    }
}

/// What a run came to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Report {
    pub(crate) quiet_points: u64,
    /// Answers that were checked.
    pub(crate) answers: u64,
    pub(crate) cost: Cost,
    commands: u64,
    lost_replies: u64,
    false_answers: u64,
    troubles: BTreeMap<&'static str, u64>,
}

/// What a snapshot file holds, and when it was asked.
struct Snapshot(Vec<(Version, Option<Window>)>);

/// Between the start and the end of a run.
pub(crate) struct Chaos {
    seed: u64,
    random: SmallRng,
    world: World,
    server: Server,
    relay: Relay,
    snapshot: Option<Snapshot>,
    report: Report,
}

/// What a server reads when it starts, and where a snapshot is kept from those that start empty.
const SNAPSHOT_FILES: [&str; 2] = ["dump.rdb", "kept.rdb"];

impl Chaos {
    pub(crate) fn new(seed: u64) -> Chaos {
        let server = Server::start();
        let relay = Relay::start(server.port());
        Chaos {
            seed,
            random: SmallRng::seed_from_u64(seed),
            world: World::new(&GROUPS),
            server,
            relay,
            snapshot: None,
            report: Report::default(),
        }
    }

    /// Torments for that long, ends at a quiet point.
    pub(crate) fn run(mut self, length: Duration) -> Report {
        let copies = copies();
        let entries: Vec<_> = copies.iter().map(|copy| self.entries(copy)).collect();
        let (tables, handles) = self.open(&copies);
        let (requests, asked) = mpsc::channel();
        let world = std::mem::replace(&mut self.world, World::new(&[]));
        let world = &world;
        let urls = urls(|database| self.server.url(database));
        let cost = thread::scope(|scope| {
            let end_of_run = world.stop_at_end();
            for number in 0..CLIENTS {
                let writer = Writer::new(world, urls.clone(), (number, CLIENTS), self.seed);
                scope.spawn(move || writer.run());
            }
            let few = |copy: &Copy| copy.on_demand.is_some_and(|entries| entries < FEW);
            let known = (&entries[..], copies.iter().map(few).collect());
            let lookups = Lookups::new(world, tables, known, asked, self.seed);
            let reader = scope.spawn(move || lookups.run());
            let copies =
                Watched { copies: &copies, handles: &handles, entries: &entries, requests };
            let end = Instant::now() + length;
            while Instant::now() < end {
                for _ in 0..self.random.random_range(1..6) {
                    self.trouble(world);
                    self.pass(1200);
                }
                self.quiet_point(world, &copies);
            }
            drop(end_of_run);
            reader.join().expect("the reader did not panic")
        });
        self.report.cost = cost;
        self.report.false_answers = self.relay.answered();
        self.report.commands = world.commands.load(Relaxed);
        self.report.lost_replies = world.lost.load(Relaxed);
        self.report
    }

    /// What is looked up in a table: which of the world's keys, and by what name.
    fn entries(&self, copy: &Copy) -> Vec<Entry> {
        let keys = self.world.keys.iter().enumerate().filter(|(_, key)| copy.holds(key));
        keys.map(|(index, key)| (index, key.name.as_bytes()[copy.prefix.len()..].to_vec()))
            .collect()
    }

    fn open(&self, copies: &[Copy]) -> (Tables, Vec<TableHandle>) {
        let settings = |copy: &Copy| {
            let place = RedisTable {
                kind: copy.kind.clone(),
                refresh: copy.refresh,
                verify_interval: copy.verify_interval,
                on_demand: copy.on_demand.map(on_demand),
                ..RedisTable::new(&self.url(copy), "SHOWN", copy.prefix)
            };
            let table = Table::new(copy.name, TablePlace::Redis(place));
            Table { fail_on_empty: false, load_timeout: DEADLINE, ..table }
        };
        let settings: Vec<_> = copies.iter().map(settings).collect();
        let (mut tables, handles) = cache::open(&settings).unwrap();
        for handle in &handles {
            handle.wait_loaded(&mut tables, |_| Continue(())).unwrap();
        }
        (tables, handles)
    }

    fn url(&self, copy: &Copy) -> String {
        if copy.is_far { self.relay.url() } else { self.server.url(copy.database) }
    }

    /// Lets that many milliseconds at most go by.
    fn pass(&mut self, millis_max: u64) {
        let end = Instant::now() + Duration::from_millis(self.random.random_range(0..millis_max));
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            thread::park_timeout(left);
        }
    }

    fn trouble(&mut self, world: &World) {
        let name = match self.random.random_range(0..12) {
            0 | 1 => {
                self.kill_clients();
                "clients killed"
            }
            2 => {
                self.configure();
                "settings changed"
            }
            3 | 4 => {
                self.server.freeze();
                self.pass(2500);
                self.server.thaw();
                "frozen and thawed"
            }
            5 => {
                self.server.freeze();
                self.pass(800);
                self.restart(world);
                "frozen and killed"
            }
            6 => {
                self.flush(world);
                "emptied"
            }
            7 => {
                self.save(world);
                "snapshot saved"
            }
            8 => {
                let delay = self.random.random_range(0..60);
                self.relay.delay(Duration::from_millis(delay));
                "slowed or hastened"
            }
            9 => {
                let loading = "-LOADING Redis is loading the dataset in memory";
                self.relay.answer(Some(("SCAN", loading)));
                self.pass(300);
                self.relay.answer(Some(("MGET", "-MASTERDOWN Link with MASTER is down")));
                self.pass(300);
                self.relay.answer(None);
                "false answers given"
            }
            _ => self.restart(world),
        };
        *self.report.troubles.entry(name).or_default() += 1;
    }

    fn kill_clients(&mut self) {
        let mut redis = self.server.connect();
        let mut kill = cmd("CLIENT");
        kill.arg("KILL").arg("TYPE").arg("normal").exec(&mut redis).unwrap();
    }

    fn configure(&mut self) {
        let mut redis = self.server.connect();
        let (name, values): (_, &[&str]) = match self.random.random_range(0..4) {
            0 => ("hz", &["1", "10", "200"]),
            1 => ("client-output-buffer-limit", &["normal 200kb 100kb 1", "normal 0 0 0"]),
            2 => ("active-expire-effort", &["1", "10"]),
            _ => ("timeout", &["1", "0"]),
        };
        let value = values[self.random.random_range(0..values.len())];
        cmd("CONFIG").arg("SET").arg(name).arg(value).exec(&mut redis).unwrap();
    }

    fn flush(&mut self, world: &World) {
        let mut redis = self.server.connect();
        let (window, ()) = world.during(|| cmd("FLUSHALL").exec(&mut redis).unwrap());
        world.keys.iter().for_each(|key| key.history().flush(window, true));
    }

    fn save(&mut self, world: &World) {
        let _gate = world.gate.write().unwrap();
        let held = world.content(&mut self.connections());
        cmd("SAVE").exec(&mut self.server.connect()).unwrap();
        let [read, kept] = self.snapshot_files();
        fs::rename(read, kept).unwrap();
        let held = held.into_iter().map(|it| (it.version(), it.expiry));
        self.snapshot = Some(Snapshot(held.collect()));
    }

    /// Kills the server; a new one stands in its place, empty or with older content.
    fn restart(&mut self, world: &World) -> &'static str {
        self.server.kill();
        let killed = world.now();
        // What was under way has failed by now, and nothing goes on before the server is known.
        let _gate = world.gate.write().unwrap();
        self.pass(1500);
        let restored = self.snapshot.as_ref().filter(|_| self.random.random());
        let [read, kept] = self.snapshot_files();
        if restored.is_some() {
            fs::copy(kept, &read).unwrap();
        }
        let (launched, ()) = world.during(|| self.server.launch());
        if restored.is_some() {
            fs::remove_file(read).unwrap();
        }
        for (index, key) in world.keys.iter().enumerate() {
            key.history().restart(killed, launched, restored.map(|it| it.0[index]));
        }
        if restored.is_some() { "killed, restarted with a snapshot" } else { "killed, emptied" }
    }

    fn snapshot_files(&self) -> [PathBuf; 2] {
        SNAPSHOT_FILES.map(|name| self.server.directory.path().join(name))
    }

    fn connections(&self) -> Vec<Connection> {
        let open = |database| redis::Client::open(self.server.url(database)).unwrap();
        DATABASES.iter().map(|it| open(*it).get_connection().unwrap()).collect()
    }

    /// Holds the clients until the copies equal the server, and checks all answers so far.
    fn quiet_point(&mut self, world: &World, copies: &Watched<'_>) {
        let gate = world.gate.write().unwrap();
        let mut redis = self.server.connect();
        for (name, value) in [("client-output-buffer-limit", "normal 0 0 0"), ("timeout", "0")] {
            cmd("CONFIG").arg("SET").arg(name).arg(value).exec(&mut redis).unwrap();
        }
        self.relay.delay(Duration::ZERO);
        let mut connections = self.connections();
        let mut difference = None;
        let start = Instant::now();
        while start.elapsed() < DEADLINE {
            difference = copies.difference(&world.content(&mut connections));
            if difference.is_none() {
                break;
            }
            thread::park_timeout(Duration::from_millis(1));
        }
        if let Some(difference) = difference {
            panic!("no copy becomes equal (seed {}): {difference}", self.seed);
        }
        let answers = copies.take();
        drop(gate);
        // What is written from now on comes after all of these answers.
        self.check(world, &answers);
        self.report.quiet_points += 1;
    }

    fn check(&mut self, world: &World, answers: &[Answer]) {
        let mut newest = vec![0; copies().len()];
        let mut by_key = vec![Vec::new(); newest.len() * world.keys.len()];
        for answer in answers {
            newest[answer.table] = answer.as_of.max(newest[answer.table]);
            by_key[answer.table * world.keys.len() + answer.key].push(*answer);
        }
        for of_one_key in by_key {
            for alike in of_one_key.chunk_by(|one, next| one.version == next.version) {
                self.check_alike(world, alike);
            }
        }
        self.report.answers += answers.len() as u64;
        // Ages never grow backwards, so that no later answer is true as of before that.
        let oldest: Nanos = newest.into_iter().min().unwrap();
        world.keys.iter().for_each(|key| key.history().prune(oldest));
    }

    /// Checks answers that are the same, in their order, of one key of one table: at once if what
    /// the newest says can have been seen when the first was, which is more than each of them says.
    fn check_alike(&self, world: &World, answers: &[Answer]) {
        let (first, newest) = (answers[0], answers.iter().map(|it| it.as_of).max());
        let key = &world.keys[first.key];
        let history = key.history();
        if newest.is_some_and(|as_of| history.allows(first.version, as_of, first.seen)) {
            return;
        }
        for Answer { table, version, as_of, seen, .. } in answers {
            assert!(
                history.allows(*version, *as_of, *seen),
                "seed {}: in {} {} was {version:?}, seen at {seen} and said to be true at {as_of} \
                 or later, of\n{history}",
                self.seed,
                copies()[*table].name,
                key.name,
            );
        }
    }
}

/// The tables as whoever checks them sees them.
struct Watched<'a> {
    copies: &'a [Copy],
    handles: &'a [TableHandle],
    entries: &'a [Vec<Entry>],
    requests: Sender<Request>,
}

impl Watched<'_> {
    fn difference(&self, content: &[Held]) -> Option<String> {
        for (table, (handle, entries)) in self.handles.iter().zip(self.entries).enumerate() {
            let content: Vec<_> =
                entries.iter().map(|(key, _)| content[*key].value.clone()).collect();
            let count = content.iter().flatten().count() as u64;
            let differs = self.ask(|to| Request::Compare(table, content, to));
            if let Some(differs) = differs {
                return Some(format!("table {}: {differs}", handle.name()));
            }
            let entries = handle.status().entries();
            if entries != count && self.copies[table].on_demand.is_none() {
                return Some(format!("table {} has {entries} entries of {count}", handle.name()));
            }
        }
        None
    }

    fn take(&self) -> Vec<Answer> {
        self.ask(Request::Take)
    }

    fn ask<T>(&self, request: impl FnOnce(Sender<T>) -> Request) -> T {
        let (to, from) = mpsc::channel();
        self.requests.send(request(to)).expect("the reader runs");
        from.recv_timeout(DEADLINE).expect("the reader turns")
    }
}

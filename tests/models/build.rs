//! Copies the files of the structure, with a fault if `HOTSPUR_MUTANT` is one of the names below.
//!
//! Each fault weakens one link of the table's proof. A check that passes on one of them would not
//! notice if the program had it. A fault whose place is no longer in the file stops the build.

use std::{env, fs, path::Path};

const FILES: [&str; 3] = ["epoch.rs", "slots.rs", "table.rs"];

/// The modules inside of the table.
const PARTS: [&str; 3] = ["recency", "replace", "retired"];

struct Mutant {
    name: &'static str,
    file: &'static str,
    from: &'static str,
    to: &'static str,
}

const MUTANTS: [Mutant; 10] = [
    Mutant {
        name: "shared-entry-retired",
        file: "table/replace.rs",
        from: "if !unsafe { entry.is_of(generation) } {",
        to: "if true {",
    },
    Mutant {
        name: "epoch-read-relaxed",
        file: "epoch.rs",
        from: "self.current.0.load(Ordering::Acquire)",
        to: "self.current.0.load(Ordering::Relaxed)",
    },
    Mutant {
        name: "epoch-advance-relaxed",
        file: "epoch.rs",
        from: "self.current.0.store(next, Ordering::Release)",
        to: "self.current.0.store(next, Ordering::Relaxed)",
    },
    Mutant {
        name: "echo-relaxed",
        file: "epoch.rs",
        from: "self.echo.0.store(epoch, Ordering::Release)",
        to: "self.echo.0.store(epoch, Ordering::Relaxed)",
    },
    Mutant {
        name: "echoed-relaxed",
        file: "epoch.rs",
        from: "self.echo.0.load(Ordering::Acquire)",
        to: "self.echo.0.load(Ordering::Relaxed)",
    },
    Mutant {
        name: "slot-store-relaxed",
        file: "slots.rs",
        from: "store(word.0, Ordering::Release)",
        to: "store(word.0, Ordering::Relaxed)",
    },
    Mutant {
        name: "slot-load-relaxed",
        file: "slots.rs",
        from: "self.0.at(index).load(Ordering::Acquire)",
        to: "self.0.at(index).load(Ordering::Relaxed)",
    },
    Mutant {
        name: "freed-before-the-echo",
        file: "table.rs",
        from: "self.shared.epoch.echoed()",
        to: "self.shared.epoch.current()",
    },
    Mutant {
        name: "tagged-with-a-past-epoch",
        file: "table.rs",
        from: "self.shared.epoch.current() + 1;",
        to: "self.shared.epoch.current();",
    },
    Mutant {
        name: "old-array-kept",
        file: "table.rs",
        from: "self.slots = self.shared.slots.load(Ordering::Acquire);",
        to: "",
    },
];

fn main() {
    println!("cargo::rustc-check-cfg=cfg(loom)");
    println!("cargo::rerun-if-env-changed=HOTSPUR_MUTANT");
    let mutant = env::var("HOTSPUR_MUTANT").ok().map(|name| {
        let mutant = MUTANTS.iter().find(|it| it.name == name);
        mutant.unwrap_or_else(|| panic!("there is no mutant {name}"))
    });
    let out = env::var("OUT_DIR").expect("cargo names a folder");
    for file in FILES {
        let mut text = read(file, mutant);
        for part in PARTS {
            let text_of_part = read(&format!("table/{part}.rs"), mutant);
            let inside = format!("mod {part} {{\n{text_of_part}}}\n");
            text = text.replace(&format!("mod {part};\n"), &inside);
        }
        fs::write(Path::new(&out).join(file), text).expect("the folder can be written");
    }
}

/// A file of the structure, as it can be included: what is included may not speak of itself.
fn read(file: &str, mutant: Option<&Mutant>) -> String {
    let source = Path::new("../../src/cache").join(file);
    println!("cargo::rerun-if-changed={}", source.display());
    let mut text = fs::read_to_string(&source).expect("a file of the structure");
    if let Some(Mutant { name, from, to, .. }) = mutant.filter(|it| it.file == file) {
        assert_eq!(text.matches(from).count(), 1, "{name} has no place in {file}");
        text = text.replace(from, to);
    }
    text.replace("//!", "//")
}

//! The house: which of our crates may know which. Owns the table; a new arrow in it is a design change with a reason.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::workspace::{Failure, cargo, shown};

/// One crate's row.
struct Layer {
    name: &'static str,
    /// Crates of ours it may depend on, in any way but for its own tests; everything else is an error.
    may_use: MayUse,
    /// Foreign crates that would mean it knows what it must never know.
    never: &'static [&'static str],
}

enum MayUse {
    Only(&'static [&'static str]),
    Everything,
}

/// From the bottom to the top: nobody may depend on what stands below it in this list.
const LAYERS: &[Layer] = &[
    Layer {
        name: "liftbridge-types",
        may_use: MayUse::Only(&[]),
        never: &["tokio", "prost", "tonic", "rand", "serde"],
    },
    Layer { name: "liftbridge-proto", may_use: MayUse::Only(&[]), never: &["axum"] },
    Layer {
        name: "liftbridge-commitlog",
        may_use: MayUse::Only(&["liftbridge-types"]),
        never: &["tokio", "prost", "tonic", "raft"],
    },
    Layer {
        name: "liftbridge-replication",
        may_use: MayUse::Only(&["liftbridge-types"]),
        never: &["tokio", "prost", "tonic", "rand", "raft", "parking_lot"],
    },
    Layer {
        name: "liftbridge-metadata-raft",
        may_use: MayUse::Only(&["liftbridge-types", "liftbridge-proto", "liftbridge-commitlog"]),
        never: &["axum", "hyper"],
    },
    Layer {
        name: "liftbridge-auth",
        may_use: MayUse::Only(&["liftbridge-types"]),
        never: &["tonic", "prost", "axum", "hyper", "raft"],
    },
    Layer {
        name: "liftbridge-broker",
        may_use: MayUse::Only(&[
            "liftbridge-types",
            "liftbridge-auth",
            "liftbridge-commitlog",
            "liftbridge-replication",
            "liftbridge-metadata-raft",
        ]),
        never: &["tonic", "prost", "axum", "hyper"],
    },
    Layer {
        name: "liftbridge-server-api",
        may_use: MayUse::Only(&["liftbridge-types", "liftbridge-proto", "liftbridge-auth", "liftbridge-broker"]),
        never: &["raft"],
    },
    Layer {
        name: "liftbridge-client",
        may_use: MayUse::Only(&["liftbridge-types", "liftbridge-proto"]),
        never: &["axum", "raft"],
    },
    Layer {
        name: "liftbridged",
        may_use: MayUse::Only(&[
            "liftbridge-types",
            "liftbridge-auth",
            "liftbridge-commitlog",
            "liftbridge-metadata-raft",
            "liftbridge-broker",
            "liftbridge-server-api",
        ]),
        never: &["prost", "raft"],
    },
    Layer {
        name: "liftbridge-admin",
        // The words of `types` are those of the client's own signatures.
        may_use: MayUse::Only(&["liftbridge-types", "liftbridge-client", "liftbridge-commitlog"]),
        never: &["prost", "axum", "raft"],
    },
    Layer { name: "liftbridge-tests", may_use: MayUse::Everything, never: &[] },
    Layer { name: "liftbridge-benches", may_use: MayUse::Everything, never: &[] },
    Layer { name: "xtask", may_use: MayUse::Only(&[]), never: &["tokio"] },
];

/// A package of the workspace, as far as the table is concerned.
#[derive(Deserialize)]
struct Package {
    name: String,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    /// `None` is an ordinary one; else `dev` or `build`.
    kind: Option<String>,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

/// Compares the table with what cargo says.
pub(crate) fn run() -> Result<(), Failure> {
    let mut command = cargo(["metadata", "--format-version", "1", "--no-deps", "--locked"]);
    let output = command.output().map_err(|error| Failure(format!("cannot run {}: {error}", shown(&command))))?;
    if !output.status.success() {
        return Err(Failure(format!("{}: {}", shown(&command), String::from_utf8_lossy(&output.stderr))));
    }
    let metadata: Metadata =
        serde_json::from_slice(&output.stdout).map_err(|error| Failure(format!("cargo metadata: {error}")))?;
    let wrong = wrong_arrows(LAYERS, &metadata.packages);
    if wrong.is_empty() { Ok(()) } else { Err(Failure(format!("layers\n  {}", wrong.join("\n  ")))) }
}

/// Every arrow that the table does not allow, one line each.
fn wrong_arrows(layers: &[Layer], packages: &[Package]) -> Vec<String> {
    let rows: BTreeMap<&str, &Layer> = layers.iter().map(|layer| (layer.name, layer)).collect();
    let mut wrong = Vec::new();
    for package in packages {
        let Some(layer) = rows.get(package.name.as_str()) else {
            wrong.push(format!("`{}` has no row in the table of xtask/src/layers.rs", package.name));
            continue;
        };
        for dependency in &package.dependencies {
            let place_of = |name: &str| layers.iter().position(|layer| layer.name == name);
            let target = place_of(&dependency.name);
            let place = Place { is_ours: target.is_some(), is_below: target < place_of(layer.name) };
            wrong.extend(objection(layer, dependency, place));
        }
    }
    for layer in layers {
        if !packages.iter().any(|package| package.name == layer.name) {
            wrong.push(format!("the table has a row for `{}`, the workspace has no such crate", layer.name));
        }
    }
    wrong
}

/// Where a dependency stands in the table.
struct Place {
    is_ours: bool,
    is_below: bool,
}

/// What is wrong with one dependency, if anything. Tests may reach for whatever stands below: what they put together is
/// not what is shipped.
fn objection(layer: &Layer, dependency: &Dependency, place: Place) -> Option<String> {
    let Place { is_ours: ours, is_below } = place;
    let (from, to) = (layer.name, dependency.name.as_str());
    let for_tests = dependency.kind.as_deref() == Some("dev");
    if !ours {
        // Tests may use what the code must not: a runtime to drive it, randomness to feed it.
        let forbidden = !for_tests && layer.never.contains(&to);
        return forbidden.then(|| format!("`{from}` depends on `{to}`, which it must never know"));
    }
    let allowed = match layer.may_use {
        MayUse::Everything => true,
        MayUse::Only(allowed) => allowed.contains(&to) || (for_tests && is_below),
    };
    (!allowed).then(|| format!("`{from}` depends on `{to}`{}", if for_tests { " in its tests" } else { "" }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[Layer] = &[
        Layer { name: "low", may_use: MayUse::Only(&[]), never: &["tokio"] },
        Layer { name: "high", may_use: MayUse::Only(&["low"]), never: &[] },
        Layer { name: "tests", may_use: MayUse::Everything, never: &[] },
    ];

    fn package(name: &str, dependencies: &[(&str, Option<&str>)]) -> Package {
        let dependency = |(name, kind): &(&str, Option<&str>)| Dependency {
            name: (*name).to_owned(),
            kind: kind.map(str::to_owned),
        };
        Package { name: name.to_owned(), dependencies: dependencies.iter().map(dependency).collect() }
    }

    #[track_caller]
    fn check(low: &[(&str, Option<&str>)], expected: &[&str]) {
        let packages = [
            package("low", low),
            package("high", &[("low", None)]),
            package("tests", &[("high", None), ("low", None)]),
        ];
        assert_eq!(wrong_arrows(TABLE, &packages), expected);
    }

    #[test]
    fn only_arrows_of_the_table_pass() {
        check(&[], &[]);
        check(&[("bytes", None)], &[]);
        check(&[("high", None)], &["`low` depends on `high`"]);
        check(&[("high", Some("build"))], &["`low` depends on `high`"]);
        check(&[("high", Some("dev"))], &["`low` depends on `high` in its tests"]);
        check(&[("tokio", None)], &["`low` depends on `tokio`, which it must never know"]);
        check(&[("tokio", Some("dev"))], &[]);
    }

    #[test]
    fn tests_may_use_what_stands_below() {
        const APART: &[Layer] = &[
            Layer { name: "low", may_use: MayUse::Only(&[]), never: &[] },
            Layer { name: "high", may_use: MayUse::Only(&[]), never: &[] },
        ];
        let wrong = |kind| wrong_arrows(APART, &[package("low", &[]), package("high", &[("low", kind)])]);
        assert_eq!(wrong(Some("dev")), Vec::<String>::new());
        assert_eq!(wrong(None), ["`high` depends on `low`"]);
    }

    #[test]
    fn crates_and_rows_come_in_pairs() {
        let packages = [package("low", &[]), package("high", &[]), package("stray", &[])];
        let expected = [
            "`stray` has no row in the table of xtask/src/layers.rs",
            "the table has a row for `tests`, the workspace has no such crate",
        ];
        assert_eq!(wrong_arrows(TABLE, &packages), expected);
    }

    #[test]
    fn no_row_allows_an_arrow_upward() {
        for (place, layer) in LAYERS.iter().enumerate() {
            let MayUse::Only(allowed) = layer.may_use else { continue };
            for name in allowed {
                let target = LAYERS.iter().position(|other| other.name == *name);
                assert!(target.is_some_and(|target| target < place), "`{}` -> `{name}` points upward", layer.name);
            }
        }
    }
}

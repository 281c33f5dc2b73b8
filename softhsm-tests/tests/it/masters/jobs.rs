//! Jobs, and whom they are for: published by a real master, answered by our minion.

use super::*;

pub(super) fn jobs_are_answered_as_salt_does(version: Version, algorithm: Algorithm) {
    let stage = stage(version);
    let master = stage.quiet(algorithm).unwrap();
    let console = master.console().unwrap();
    let host = Host::of(&stage, algorithm);
    let minion = host.start_accepted(master, &[]);
    let ask = |fun: &str, arg: &[&str]| console.ask(minion.id(), fun, arg).unwrap();

    assert_eq!(ask("test.ping", &[]), json!(true));
    let claimed = ask("test.version", &[]);
    assert!(text(&claimed).split('.').count() >= 2, "{claimed}");
    assert_eq!(
        ask("test.echo", &["round and round"]),
        json!("round and round")
    );
    let functions = ask("sys.list_functions", &[]);
    assert!(functions.as_array().unwrap().contains(&json!("test.ping")));
    let unknown = ask("test.no_such_function", &[]);
    assert_eq!(unknown, json!("'test.no_such_function' is not available."));
}

/// Two minions; each target is one of them, and the other one keeps quiet.
pub(super) fn a_target_is_who_it_says(version: Version, algorithm: Algorithm) {
    let stage = stage(version);
    let master = stage.quiet(algorithm).unwrap();
    let console = master.console().unwrap();
    let host = Host::of(&stage, algorithm);
    let web = host.start_accepted(master, &[("grains", "{role: web-server}")]);
    let data = host.start_accepted(master, &[("grains", "{role: data-base}")]);
    let (web_id, data_id) = (web.id(), data.id());
    // A master publishes by grain for those minions that it finds among the grains that it was told
    // and keeps (Salt 3006.30 to 3008.5, salt/utils/minions.py, _check_cache_minions; salt/master.py,
    // _pillar). One that keeps none publishes for all whom it has accepted.
    let keeps_grains = algorithm == Stage::KEEPS_GRAINS;
    if keeps_grains {
        for id in [web_id, data_id] {
            let told = format!("event minion/refresh/{id} ");
            console.events().wait_for(&told).unwrap();
        }
        // The command itself, which says who has answered.
        let answer = master.salt_by_grain("role:data-*", "test.ping").unwrap();
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(answer, json!({ data_id: true }));
    }

    let targets = [
        (
            "glob",
            json!(format!("{}*{}", &web_id[..2], &web_id[2..])),
            web_id,
            data_id,
        ),
        ("list", json!([data_id, "nobody-else"]), data_id, web_id),
        (
            "pcre",
            json!(format!("(?:{web_id}|nobody)")),
            web_id,
            data_id,
        ),
        ("grain", json!("role:data*"), data_id, web_id),
        ("grain", json!("role:web-*"), web_id, data_id),
    ];
    for (kind, target, wanted, other) in targets {
        let job = console
            .publish((kind, target.clone()), "test.ping", &[])
            .unwrap();
        if kind == "grain" {
            // It is the grains of the minion itself that keep the other one quiet.
            let expects_other = job.minions.iter().any(|id| id == other);
            assert_eq!(expects_other, !keeps_grains, "{job:?}");
        }
        let answer = console.answer(&job, wanted).unwrap();
        assert_eq!(answer["return"], json!(true), "{kind} {target}");
        // What the other one does, it does in order: had it answered, that would be here by now.
        assert_eq!(console.ask(other, "test.ping", &[]).unwrap(), json!(true));
        assert_eq!(returned(console, &job.jid, other), 0, "{kind} {target}");
    }
}

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
    // 3008.5 publishes by grain only for minions whose grains it has (Salt 3008.5,
    // salt/utils/minions.py, _check_cache_minions). Each minion tells them once it is ready, at no
    // certain moment; what is asked here is what it does with such a job.
    for (id, role) in [(web_id, "web-server"), (data_id, "data-base")] {
        let grains = json!({ "role": role });
        console.remember_grains(id, &grains).unwrap();
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
        let answer = console.answer(&job, wanted).unwrap();
        assert_eq!(answer["return"], json!(true), "{kind} {target}");
        // What the other one does, it does in order: had it answered, that would be here by now.
        assert_eq!(console.ask(other, "test.ping", &[]).unwrap(), json!(true));
        assert_eq!(returned(console, &job.jid, other), 0, "{kind} {target}");
    }
}

//! Merging, against a second writing of Salt's rule.

use proptest::prelude::*;
use serde_json::json;

use super::*;

/// Salt's `dictupdate.update(dest, upd, True, merge_lists=True)` as its source reads.
fn update(dest: &Map<String, Value>, upd: &Map<String, Value>) -> Map<String, Value> {
    let mut result = dest.clone();
    for (key, value) in upd {
        let merged = match (dest.get(key), value) {
            (Some(Value::Object(old)), Value::Object(new)) => Value::Object(update(old, new)),
            (Some(Value::Array(old)), Value::Array(new)) => {
                let added = new.iter().filter(|item| !old.contains(item));
                Value::Array(old.iter().chain(added).cloned().collect())
            }
            (_, new) => new.clone(),
        };
        result.insert(key.clone(), merged);
    }
    result
}

fn tables() -> impl Strategy<Value = Map<String, Value>> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (0..3_u8).prop_map(Value::from),
        "[ab]{0,2}".prop_map(Value::from),
    ];
    let value = leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map("[abc]", inner, 0..3)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    });
    prop::collection::hash_map("[a-e]", value, 0..5).prop_map(|map| map.into_iter().collect())
}

fn table(options: &Map<String, Value>, file: &str) -> Table {
    let file: Arc<Path> = Arc::from(Path::new(file));
    let entry = |(option, value): (&String, &Value)| {
        let entry = Entry {
            value: value.clone(),
            file: Arc::clone(&file),
        };
        (option.clone(), entry)
    };
    Table(options.iter().map(entry).collect())
}

proptest! {
    #[test]
    fn the_files_of_one_include_merge_as_salt_merges_them(files in prop::collection::vec(tables(), 0..5)) {
        let mut ours = Table::default();
        let mut salts = Map::new();
        for (number, options) in files.iter().enumerate() {
            ours.merge(table(options, &number.to_string()));
            salts = update(&salts, options);
        }
        let values: Map<String, Value> = ours
            .iter()
            .map(|(option, entry)| (option.to_owned(), entry.value.clone()))
            .collect();
        prop_assert_eq!(values, salts);
        for (option, entry) in ours.iter() {
            let last = files.iter().rposition(|options| options.contains_key(option)).unwrap();
            let last = last.to_string();
            prop_assert_eq!(&*entry.file, Path::new(&last));
        }
    }
}

#[test]
fn a_list_keeps_what_its_second_file_repeats_within_itself() {
    let mut ours = json!(["a"]);
    merge_value(&mut ours, json!(["b", "b", "a"]));
    assert_eq!(ours, json!(["a", "b", "b"]));
}

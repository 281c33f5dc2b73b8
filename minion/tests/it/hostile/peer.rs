//! Answers that were meant for another minion.

use std::sync::{Arc, Mutex};

use scripted_master::master::foreign_answer;
use scripted_master::reply::pack;
use scripted_master::{Answer, Job, Step};

use super::keys::keys;
use super::minion::{Minion, neighbour};
use super::scene::{Contact, Fault, GOOD, Scene, configured, turns_away, within_reason};
use super::sign_in::{INDISTINCT, NONCE};

/// The answer to another minion's sign-in at the same moment.
pub(super) async fn reply_of_other_peer(contact: Contact) {
    let foreign = |nonce: &'static str| {
        Fault::reply(NONCE, move |exchange| {
            pack(foreign_answer(exchange, keys().neighbour.public(), nonce))
        })
    };
    // The right nonce with another minion's keys in it: this one nobody but its owner opens.
    let mixed = Fault::reply(INDISTINCT, |exchange| {
        let nonce = exchange.auth().unwrap().nonce.clone();
        pack(foreign_answer(exchange, keys().neighbour.public(), &nonce))
    });
    let faults = vec![
        foreign("ffffffffffffffffffffffffffffffff"),
        foreign(""),
        mixed.after(2),
    ];
    turns_away(contact, faults).await;
    crossed(contact).await;
}

/// Two minions ask at the same moment, and each gets the other's answer (saltstack/salt #69753).
async fn crossed(contact: Contact) {
    let scene = Scene::new().await;
    let waiting = Mutex::new(None);
    scene.hostile.script(move |exchange| {
        if exchange.auth().is_none() {
            return Answer::Honest;
        }
        let own = exchange.honest();
        let mut waiting = waiting.lock().unwrap();
        match waiting.take() {
            None => {
                *waiting = Some((exchange.connection, own));
                Answer::Steps(Vec::new())
            }
            Some((connection, theirs)) => {
                Answer::Steps(vec![Step::ReplyTo(connection, own), Step::Reply(theirs)])
            }
        }
    });
    let stores = [(); 2].map(|()| Arc::new(contact.memory(&scene)));
    let mut minions = [
        Minion::start(&stores[0], scene.masters(1), |_| ()),
        Minion::start(&stores[1], scene.masters(1), |setup| {
            setup.identity = neighbour();
        }),
    ];
    for minion in &mut minions {
        assert_eq!(minion.connected().await, GOOD);
        let said = minion.outcome(0);
        assert!(said.contains(NONCE), "{said}");
        assert_eq!(minion.decryptions(), Contact::First.decryptions());
    }
    let log = scene.hostile.log();
    assert_eq!((log.faults, log.sign_ins.len(), log.subscribed), (2, 2, 0));
    assert_ne!(log.sign_ins[0].id, log.sign_ins[1].id);
    within_reason(scene.good.until(|log| log.subscribed == 2)).await;
    let jid = "20261125000000000002";
    assert_eq!(scene.good.publish(Job::ping(jid)).await, 2);
    within_reason(scene.good.until(|log| log.returns() == [jid, jid])).await;
    for minion in minions {
        let good = configured(GOOD, &scene.good).endpoint();
        let pin = (good, keys().good.public().hash());
        assert_eq!(minion.store.pinned_since(), [pin]);
        assert_eq!(minion.jobs.ran(), [jid]);
        minion.end().await;
    }
}

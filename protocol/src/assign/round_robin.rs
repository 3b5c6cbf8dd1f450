//! The `roundrobin` assignor. In: a group; out: every partition of every topic, dealt out in turn to
//! the next member that subscribes to it.

use super::group::Group;
use super::table::{Lists, Shares};

pub(super) fn assign(group: &Group<'_>) -> Shares {
    let mut shares = Lists::new(group.member_count());
    let mut turn = group.served().into_iter().cycle().peekable();
    for part in group.parts() {
        let topic = group.part(part).topic;
        // Somebody subscribes to every topic in a group, so this ends.
        while turn.next_if(|(_, peer)| !peer.reads(topic)).is_some() {}
        if let Some((member, _)) = turn.next() {
            shares.push(member.0, part);
        }
    }
    shares
}

//! Consumer groups as questions and answers of the Java oracle.
//!
//! In: members with their blobs, topics with their racks. Out: what Java's assignors make of them,
//! and what Java reads in a blob or writes into one. Nothing of our own codec is used here.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::Java;
use super::ask::{Answer, Question};
use crate::outside::Error;

/// A partition by its topic's name and its number.
pub type Named = (String, i32);

/// For each partition of a topic the racks of its replicas.
pub type Replicas = Vec<Vec<Option<String>>>;

/// A group to be assigned partitions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupSpec {
    /// The members, in the order of the join response.
    pub members: Vec<MemberSpec>,
    /// The topics that exist.
    pub topics: BTreeMap<String, Replicas>,
}

/// A member of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemberSpec {
    /// The id that the coordinator gave it.
    pub id: String,
    /// The name of a static member.
    pub instance_id: Option<String>,
    /// Its subscription, as it travels.
    pub subscription: Bytes,
}

/// A subscription in parts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SubscriptionSpec {
    /// The topics.
    pub topics: Vec<String>,
    /// The assignor's own bytes.
    pub user_data: Option<Bytes>,
    /// What the member holds.
    pub owned: Vec<Named>,
    /// Since which generation, -1 for none.
    pub generation: i32,
    /// The member's rack.
    pub rack: Option<String>,
}

/// An assignment in parts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AssignmentSpec {
    /// What the member shall read.
    pub partitions: Vec<Named>,
    /// The assignor's own bytes.
    pub user_data: Option<Bytes>,
}

impl Java {
    /// Lets one of Java's assignors, by its name on the wire, share partitions out.
    ///
    /// # Errors
    ///
    /// [`Error::Failed`] with Java's exception if it throws one.
    pub fn assign(
        &mut self,
        assignor: &str,
        group: &GroupSpec,
    ) -> Result<BTreeMap<String, Vec<Named>>, Error> {
        let mut question = Question::new(b'g');
        question.string(assignor);
        question.int32(group.topics.len());
        for (name, partitions) in &group.topics {
            question.string(name);
            question.int32(partitions.len());
            for racks in partitions {
                question.int32(racks.len());
                racks.iter().for_each(|rack| question.nullable_string(rack.as_deref()));
            }
        }
        question.int32(group.members.len());
        for member in &group.members {
            question.string(&member.id);
            question.nullable_string(member.instance_id.as_deref());
            question.bytes(Some(&member.subscription));
        }
        let mut answer = self.ask("assigning partitions", question)?;
        let count = answer.int32()?;
        (0..count).map(|_| Ok((answer.string()?, take_partitions(&mut answer)?))).collect()
    }

    /// What one of Java's assignors adds to a subscription, after an assignment of a generation if
    /// there was one.
    ///
    /// # Errors
    ///
    /// [`Error::Failed`] with Java's exception if it throws one.
    pub fn user_data(
        &mut self,
        assignor: &str,
        generation: i32,
        assigned: Option<&[Named]>,
    ) -> Result<Option<Bytes>, Error> {
        let mut question = Question::new(b'u');
        question.string(assignor);
        question.int32(generation);
        question.bool(assigned.is_some());
        if let Some(assigned) = assigned {
            put_partitions(&mut question, assigned);
        }
        self.ask("making user data", question)?.nullable_bytes()
    }

    /// Lets Java write a subscription.
    ///
    /// # Errors
    ///
    /// [`Error::Failed`] with Java's exception if there is no such version.
    pub fn write_subscription(
        &mut self,
        subscription: &SubscriptionSpec,
        version: i16,
    ) -> Result<Bytes, Error> {
        let mut question = Question::new(b's');
        question.int16(version);
        question.int32(subscription.topics.len());
        subscription.topics.iter().for_each(|topic| question.string(topic));
        question.bytes(subscription.user_data.as_deref());
        put_partitions(&mut question, &subscription.owned);
        question.int32(subscription.generation);
        question.nullable_string(subscription.rack.as_deref());
        self.ask("writing a subscription", question)?.bytes()
    }

    /// Lets Java read a subscription.
    ///
    /// # Errors
    ///
    /// [`Error::Failed`] with Java's exception if it cannot read the bytes.
    pub fn read_subscription(&mut self, bytes: &[u8]) -> Result<SubscriptionSpec, Error> {
        let mut question = Question::new(b'S');
        question.bytes(Some(bytes));
        let mut answer = self.ask("reading a subscription", question)?;
        let topics = answer.int32()?;
        let topics = (0..topics).map(|_| answer.string()).collect::<Result<_, _>>()?;
        let user_data = answer.nullable_bytes()?;
        let (owned, generation) = (take_partitions(&mut answer)?, answer.int32()?);
        let (has_rack, rack) = (answer.bool()?, answer.string()?);
        let rack = has_rack.then_some(rack);
        Ok(SubscriptionSpec { topics, user_data, owned, generation, rack })
    }

    /// Lets Java write an assignment.
    ///
    /// # Errors
    ///
    /// [`Error::Failed`] with Java's exception if there is no such version.
    pub fn write_assignment(
        &mut self,
        assignment: &AssignmentSpec,
        version: i16,
    ) -> Result<Bytes, Error> {
        let mut question = Question::new(b't');
        question.int16(version);
        put_partitions(&mut question, &assignment.partitions);
        question.bytes(assignment.user_data.as_deref());
        self.ask("writing an assignment", question)?.bytes()
    }

    /// Lets Java read an assignment.
    ///
    /// # Errors
    ///
    /// [`Error::Failed`] with Java's exception if it cannot read the bytes.
    pub fn read_assignment(&mut self, bytes: &[u8]) -> Result<AssignmentSpec, Error> {
        let mut question = Question::new(b'T');
        question.bytes(Some(bytes));
        let mut answer = self.ask("reading an assignment", question)?;
        let partitions = take_partitions(&mut answer)?;
        Ok(AssignmentSpec { partitions, user_data: answer.nullable_bytes()? })
    }
}

fn put_partitions(question: &mut Question, partitions: &[Named]) {
    question.int32(partitions.len());
    for (topic, number) in partitions {
        question.string(topic);
        question.int32(*number);
    }
}

fn take_partitions(answer: &mut Answer) -> Result<Vec<Named>, Error> {
    let count = answer.int32()?;
    (0..count).map(|_| Ok((answer.string()?, answer.int32()?))).collect()
}

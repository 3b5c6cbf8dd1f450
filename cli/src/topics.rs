//! `klamm topics`: a verb and names in, topics listed, described, created or deleted.

use klamm_client::Client;
use klamm_client::admin::{NewTopic, Topics};

use crate::args::TopicsVerb;
use crate::cluster::{connect, names};
use crate::failure::Failure;
use crate::output::{print_line, print_table, say};

pub(crate) async fn run(verb: TopicsVerb) -> Result<(), Failure> {
    match verb {
        TopicsVerb::List { cluster, internal } => list(&connect(&cluster).await?, internal).await,
        TopicsVerb::Describe { cluster, topic } => {
            describe(&connect(&cluster).await?, topic.as_deref()).await
        }
        TopicsVerb::Create { cluster, topic, partitions, replicas, configs } => {
            let mut new = NewTopic::new(&topic);
            (new.partitions, new.replication, new.settings) = (partitions, replicas, configs);
            let client = connect(&cluster).await?;
            client.create_topics(&[new]).await.into_iter().collect::<Result<(), _>>()?;
            say(&format!("created {topic}"));
            Ok(())
        }
        TopicsVerb::Delete { cluster, topic } => {
            let client = connect(&cluster).await?;
            client.delete_topics(&[&topic]).await.into_iter().collect::<Result<(), _>>()?;
            say(&format!("deleted {topic}"));
            Ok(())
        }
    }
}

async fn list(client: &Client, internal: bool) -> Result<(), Failure> {
    let view = client.metadata(Topics::All).await?;
    let shown = view.topics.values().filter(|topic| internal || !topic.internal);
    let mut names: Vec<_> = shown.map(|topic| topic.name.to_string()).collect();
    names.sort_unstable();
    names.iter().try_for_each(|name| print_line(name))
}

async fn describe(client: &Client, topics: Option<&str>) -> Result<(), Failure> {
    let view = match topics {
        Some(list) => client.metadata(Topics::Named(names(list))).await?,
        None => client.metadata(Topics::All).await?,
    };
    let mut rows = Vec::new();
    for topic in view.topics.values().filter(|topic| topics.is_some() || !topic.internal) {
        if !topic.error.is_ok() {
            let line = format!("topic {}: {}", topic.name, topic.error.meaning());
            return Err(Failure::failed(line));
        }
        for partition in &topic.partitions {
            rows.push(vec![
                topic.name.to_string(),
                partition.index.to_string(),
                partition.leader.map_or_else(|| "none".to_owned(), |leader| leader.to_string()),
                join(&partition.replicas),
                join(&partition.in_sync),
            ]);
        }
    }
    rows.sort_by_cached_key(|row| {
        (row.first().cloned(), row.get(1).and_then(|index| index.parse::<i32>().ok()))
    });
    print_table(&["topic", "partition", "leader", "replicas", "in sync"], &rows)
}

fn join(nodes: &[i32]) -> String {
    nodes.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

//! Which partitions a message published to a subject reaches. Owns the routing table; never whether a partition is able to
//! store the message, which is asked anew for each.
//!
//! A partition listens on one subject (behaviour spec, section 3). A message reaches every partition whose subject
//! matches, and of those among them that name the same load-balance group one, whatever their subjects: they take turns,
//! those that cannot store anything at the moment being passed over.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};

use liftbridge_types::Subject;
use parking_lot::RwLock;

/// The routing table. `P` is what it leads to.
#[derive(Debug)]
pub(crate) struct Subjects<P> {
    routes: RwLock<Routes<P>>,
}

#[derive(Debug)]
struct Routes<P> {
    /// Listeners on subjects without wildcards, by subject: one lookup finds them.
    literal: HashMap<Subject, Listeners<P>>,
    /// Listeners on subjects with wildcards, token by token.
    wildcard: Node<P>,
}

/// One token of the wildcard subjects; an asterisk stands in `children` like any other token.
#[derive(Debug)]
struct Node<P> {
    children: HashMap<Box<str>, Node<P>>,
    /// Who listens on the subject that ends here.
    ending: Listeners<P>,
    /// Who listens on this and everything below, by a last token `>`.
    below: Listeners<P>,
}

/// Who listens on one subject.
#[derive(Debug)]
struct Listeners<P> {
    each: Vec<P>,
    groups: Vec<Group<P>>,
}

/// The members of a load-balance group that listen on one subject.
#[derive(Debug)]
struct Group<P> {
    name: Box<str>,
    members: Vec<P>,
    /// Grows with each choice of which this is the first part.
    turn: AtomicUsize,
}

/// One listener's attachment to its subject.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attachment<'a> {
    /// The subject, wildcards included.
    pub(crate) subject: &'a Subject,
    /// The load-balance group; `None` gets every message.
    pub(crate) group: Option<&'a str>,
}

impl<P: Clone + PartialEq> Subjects<P> {
    /// A table without routes.
    pub(crate) fn new() -> Self {
        Self { routes: RwLock::new(Routes { literal: HashMap::new(), wildcard: Node::default() }) }
    }

    /// Adds a listener.
    pub(crate) fn attach(&self, attachment: Attachment<'_>, listener: P) {
        let mut routes = self.routes.write();
        let Attachment { subject, group } = attachment;
        let listeners = match subject.has_wildcard() {
            false => routes.literal.entry(subject.clone()).or_default(),
            true => routes.wildcard.listeners_mut(subject),
        };
        listeners.add(group, listener);
    }

    /// Removes a listener and whatever its going leaves empty.
    pub(crate) fn detach(&self, attachment: Attachment<'_>, listener: &P) {
        let mut routes = self.routes.write();
        let Attachment { subject, group } = attachment;
        if subject.has_wildcard() {
            let tokens: Vec<&str> = subject.as_str().split('.').collect();
            routes.wildcard.remove(&tokens, group, listener);
        } else if let Some(listeners) = routes.literal.get_mut(subject) {
            listeners.remove(group, listener);
            if listeners.is_empty() {
                routes.literal.remove(subject);
            }
        }
    }

    /// Whom a message published on the literal subject `published` reaches, of those that are `able` to take it.
    pub(crate) fn route(&self, published: &Subject, able: impl Fn(&P) -> bool) -> Vec<P> {
        let routes = self.routes.read();
        let mut listening: Vec<&Listeners<P>> = routes.literal.get(published).into_iter().collect();
        let tokens: Vec<&str> = published.as_str().split('.').collect();
        routes.wildcard.collect(&tokens, &mut listening);
        let each = listening.iter().flat_map(|listeners| &listeners.each);
        let mut reached: Vec<P> = each.filter(|listener| able(listener)).cloned().collect();
        let mut groups: BTreeMap<&str, Vec<&Group<P>>> = BTreeMap::new();
        for group in listening.iter().flat_map(|listeners| &listeners.groups) {
            groups.entry(&group.name).or_default().push(group);
        }
        reached.extend(groups.values().filter_map(|parts| choose(parts, &able)));
        reached
    }
}

impl<P: Clone + PartialEq> Node<P> {
    fn listeners_mut(&mut self, subject: &Subject) -> &mut Listeners<P> {
        let mut node = self;
        let mut tokens = subject.as_str().split('.').peekable();
        while let Some(token) = tokens.next() {
            if token == ">" && tokens.peek().is_none() {
                return &mut node.below;
            }
            node = node.children.entry(token.into()).or_default();
        }
        &mut node.ending
    }

    fn remove(&mut self, tokens: &[&str], group: Option<&str>, listener: &P) {
        match tokens {
            [] => self.ending.remove(group, listener),
            [">"] => self.below.remove(group, listener),
            [token, rest @ ..] => {
                let Some(child) = self.children.get_mut(*token) else { return };
                child.remove(rest, group, listener);
                if child.children.is_empty() && child.ending.is_empty() && child.below.is_empty() {
                    self.children.remove(*token);
                }
            }
        }
    }

    /// Recurses once per token of a subject of bounded length; each token has at most two ways down.
    fn collect<'a>(&'a self, tokens: &[&str], listening: &mut Vec<&'a Listeners<P>>) {
        let [token, rest @ ..] = tokens else { return listening.push(&self.ending) };
        listening.push(&self.below);
        let literal = self.children.get(*token).filter(|_| *token != "*");
        for child in literal.into_iter().chain(self.children.get("*")) {
            child.collect(rest, listening);
        }
    }
}

impl<P: Clone + PartialEq> Listeners<P> {
    fn is_empty(&self) -> bool {
        self.each.is_empty() && self.groups.is_empty()
    }

    fn add(&mut self, group: Option<&str>, listener: P) {
        let Some(name) = group else { return self.each.push(listener) };
        match self.groups.iter_mut().find(|group| *group.name == *name) {
            Some(group) => group.members.push(listener),
            None => {
                let turn = AtomicUsize::new(0);
                self.groups.push(Group { name: name.into(), members: vec![listener], turn });
            }
        }
    }

    fn remove(&mut self, group: Option<&str>, listener: &P) {
        let Some(name) = group else { return self.each.retain(|member| member != listener) };
        if let Some(group) = self.groups.iter_mut().find(|group| *group.name == *name) {
            group.members.retain(|member| member != listener);
        }
        self.groups.retain(|group| !group.members.is_empty());
    }
}

/// Whose turn it is among the members of one group, whose `parts` listen on one subject each.
fn choose<P: Clone>(parts: &[&Group<P>], able: &impl Fn(&P) -> bool) -> Option<P> {
    let (first, others) = parts.split_first()?;
    let members = parts.iter().flat_map(|part| &part.members);
    let able_members: Vec<&P> = members.filter(|member| able(member)).collect();
    // The sum grows by one with each choice among the same parts, and choices among others do not set it back.
    let turn = others.iter().fold(first.turn.fetch_add(1, Ordering::Relaxed), |sum, part| {
        sum.wrapping_add(part.turn.load(Ordering::Relaxed))
    });
    let chosen = turn.checked_rem(able_members.len()).and_then(|position| able_members.get(position));
    chosen.map(|member| (*member).clone())
}

impl<P> Default for Node<P> {
    fn default() -> Self {
        Self { children: HashMap::new(), ending: Listeners::default(), below: Listeners::default() }
    }
}

impl<P> Default for Listeners<P> {
    fn default() -> Self {
        Self { each: Vec::new(), groups: Vec::new() }
    }
}

#[cfg(test)]
mod tests;

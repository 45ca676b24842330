mod calls;
mod greetings;
mod links;

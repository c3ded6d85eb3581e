mod limits;
mod lives;
mod search;

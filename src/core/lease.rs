//! Who leads: the moves of one replica, from the Lease as it sees it.

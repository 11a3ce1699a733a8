"""The second route to every test vector: plain loops over exact or long numbers, which share no line with refhf."""

"""The node `sequence_player`: a recorded sequence or bag, played as a camera with poses and a clock."""

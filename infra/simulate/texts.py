"""What visitors write: sentences by rating, put together from parts.

In: a rating and a source of randomness.
Out: a text.
Never: a text whose tone contradicts its rating.
"""

from random import Random

_OPENINGS = {
    1: ("Terrible evening.", "I want my money back.", "Never again.", "What a mess."),
    2: ("Rather disappointing.", "I expected more for the price.", "Not great.", "It could have been so much better."),
    3: ("It was all right.", "A mixed evening.", "Fine, nothing special.", "Some good, some bad."),
    4: ("Really good night.", "We enjoyed it a lot.", "Great show with small flaws.", "Would go again."),
    5: ("Absolutely brilliant!", "Best night of the year.", "Loved every minute.", "Perfect from start to finish."),
}
_DETAILS = {
    1: (
        "We queued for two hours and missed the first act.",
        "The sound was so bad that half the hall left.",
        "My seat was double booked and nobody helped.",
        "The checkout charged me twice and support never answered.",
    ),
    2: (
        "The view was blocked by a pillar.",
        "Drinks were overpriced and the staff were rude.",
        "It started late and ended early.",
        "The app kept logging me out at the gate.",
    ),
    3: (
        "The band was good but the hall was too hot.",
        "Getting in took a while, the show itself was fine.",
        "Nice venue, though hard to find.",
        "The support act was better than the main one.",
    ),
    4: (
        "Friendly staff and a quick entry.",
        "Lovely sound, only the bar was slow.",
        "Buying the ticket took less than a minute.",
        "The seats were comfortable and the view was clear.",
    ),
    5: (
        "The singer talked to the crowd and the light show was stunning.",
        "Check-in took ten seconds and the team was wonderful.",
        "My kids still talk about it.",
        "Everything worked, from the ticket to the last encore.",
    ),
}


def write(rating: int, random: Random) -> str:
    """A text that goes with a rating of 1 to 5.

    Examples
    --------
    >>> write(5, Random(1)).count(".") + write(5, Random(1)).count("!") >= 2
    True
    """
    openings, details = _OPENINGS[rating], _DETAILS[rating]
    first = details[int(random.random() * len(details))]
    text = f"{openings[int(random.random() * len(openings))]} {first}"
    if random.random() < 0.3:
        second = details[int(random.random() * len(details))]
        text += "" if second == first else f" {second}"
    return text

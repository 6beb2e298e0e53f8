"""What the generated messages say: sentences with slots, by topic, for both classes.

A slot in braces is filled in `simulations.messages`. Slots with these names are planted personal
data: person, phone, email, address, account, card, date. All others are ordinary words.
"""

from collections.abc import Mapping

ORDINARY: Mapping[str, tuple[str, ...]] = {
    "family": (
        "{person} says the {meal} is at {hour}, can you bring {food}",
        "mum wants to know if you are coming home {day}",
        "happy birthday to {person}, born {date} and still going strong",
        "can you {get} the kids from {place} at {hour}",
        "we are at {place} with {person}, come over when you are done",
        "dad left his keys at {address} again, can you get them",
        "{call} your sister on {phone}, she has been waiting all {part}",
        "did you win the game {day}, {person} told me you played well",
    ),
    "work": (
        "the meeting with {person} moved to {hour} {day}",
        "please send the {paper} to {email} before {hour}",
        "I am running late for work, tell {person} I will be there by {hour}",
        "{person} from the office will {call} you on {phone} about the {paper}",
        "can you check the numbers in the {paper}, the boss wants it {day}",
        "I got the job offer! starting {date}, so happy",
        "no news on the contract yet, {person} is still reading it",
        "free for a quick call at {hour}? it is about the {paper}",
    ),
    "travel": (
        "my train gets in at {hour}, see you at {place}",
        "the hotel is on {address}, ask for {person} at the desk",
        "landed safely, waiting for my bags, will text when I am at {place}",
        "the tickets are booked for {date}, I paid with the card ending the usual way",
        "stuck in traffic near {place}, start without me",
        "we won a free upgrade on the flight home, can you believe it",
        "which bus goes to {place}? {person} says the {number} but it is not coming",
    ),
    "money": (
        "can you send the rent to account {account} by {day}",
        "I will pay you back {day}, I owe you for the {food}",
        "sent you {amount} for the tickets, check your bank",
        "the landlord changed banks, new account is {account}, call {person} to be sure",
        "my card {card} was declined at {place}, can you pay and I will give you cash",
        "how much was the {food}? I only have {amount} left this week",
        "they gave me a discount on the {thing}, only {amount} in the end",
    ),
    "plans": (
        "are you free {day}? thinking of going to {place}",
        "let us meet at {place} at {hour}, {person} is coming too",
        "no worries, we can do it another {part}",
        "{person} is having people over at {address} {day}, bring {food}",
        "what are you up to {day}, fancy a film",
        "sorry I missed your call, I was at {place}, {call} me on {phone}",
        "count me in for {day}, what time do we need to be there",
        "I have two spare tickets for {day}, free if you want them, {reply} {now}",
    ),
    "health": (
        "the doctor can see you {day} at {hour}, ask for {person}",
        "feeling much better today, thanks for the {food}",
        "can you {get} my prescription, name is {person}, born {date}",
        "{person} is still in hospital, room {number}, visiting until {hour}",
        "I slept badly, my head hurts, not coming in today",
        "the dentist is at {address}, do not be late this time",
    ),
    "study": (
        "did you finish the {paper}? mine is still a mess",
        "the exam is on {date}, we should study together at {place}",
        "mail your notes to {email} please, I missed the lecture",
        "{person} is in my class, says the test was easy",
        "library closes at {hour}, I will save you a seat",
        "what did you get for question {number}, I have no idea",
    ),
    "notices": (
        "Your appointment with {person} is on {date} at {hour}. To change it {call} {phone}.",
        "Your parcel will be delivered to {address} {day}. No need to sign.",
        "Reminder: your library books are due on {date}. Renew at the desk or {call} {phone}.",
        "Your order of the {thing} is ready to collect at {place}. Bring your card.",
        "Thank you for your payment of {amount} to account {account}. Your balance is up to date.",
        "Your code is {code}. Do not share it with anyone.",
        "Dear customer, our shop at {address} is closed {day}. Offers start again on {date}.",
    ),
    "smalltalk": (
        "haha that is so true",
        "ok, see you {day} then",
        "I miss you, sleep well",
        "what a {part}, so tired now",
        "did you see the game, what a goal",
        "the cat is asleep on the {thing} again",
        "yes please, that would be lovely",
        "not sure yet, will let you know by {hour}",
        "just had {food} with {person}, so good",
        "lol you always say that",
        "thinking of you today, good luck with the {paper}",
        "where did you put the {thing}? I looked everywhere",
    ),
    "forwarded": (
        "is this real? it says I won {amount} and must {call} {phone} to claim",
        "do not answer the text about a free {thing}, it is a scam, {person} lost {amount}",
        "got another message about a loan, please tell them to stop",
        "look at this offer, half price {thing} at {place}, shall we go {day}",
    ),
}

OFFERS: Mapping[str, tuple[str, ...]] = {
    "prize": (
        "{person}, you have been selected to receive {amount}! {call} {phone} to claim your prize",
        "Congratulations {person}! You won a {gadget}. Claim code {code}, valid until {day}",
        "Your number was drawn {day}. {get} {amount} now, ring {phone} quoting {code}",
        "WINNER! A free {gadget} is waiting for you, send your details to {email}",
        "Final notice: your {gadget} has not been claimed. {reply} YES with code {code}",
    ),
    "loan": (
        "Need cash today? Borrow up to {amount}, no checks, {call} {phone}",
        "{person}, your loan of {amount} is approved. Confirm account {account} to receive it",
        "Clear your debts in a week, our advisers are free to talk on {phone}",
        "Money in your bank by {hour}. Low rates for members, reply LOAN to start",
    ),
    "sale": (
        "This {day} only: {percent} off every {gadget} at {site}. Stop texts with STOP",
        "Half price {thing} for our best customers, order before {hour} at {site}",
        "Buy one get one free on {food}! Show this text at {address}",
        "New season, new prices, {percent} off with code {code}. Unsubscribe any time",
        "Your exclusive voucher worth {amount} ends {day}, shop {now} at {site}",
    ),
    "plan": (
        "Upgrade to unlimited data for {amount} a month, call free on {phone}",
        "Your contract allows a new {gadget}, no cost today. Order at {site}",
        "Free minutes and texts for {number} days! Reply GO to join, STOP to leave",
        "Mobile offer for {person}: double data until {date}, {call} {phone}",
    ),
    "phishing": (
        "Your card {card} is blocked. Verify it {now} at {site} or {call} {phone}",
        "We could not deliver to {address}. Pay {amount} at {site} to release your parcel",
        "Tax refund of {amount} due to {person}, born {date}. Submit your details at {site}",
        "Unusual sign-in to account {account}. Confirm who you are at {site} within {number} hours",
        "Your account {account} will be closed {day}. Log in at {site} to keep it open",
    ),
    "dating": (
        "Someone you know likes you! Find out who, {call} {phone}, adults only",
        "{person} sent you a photo. See it at {site}, first week free",
        "Lonely {day}? Chat live with people near {place}, {reply} CHAT",
    ),
    "friendly": (
        "Hi, it is {person} from the gym, we have a place for you this month, {call} me on {phone}",
        "hello again, still looking for extra work at home? I made {amount} last week, ask me how",
        "are you free {day}? come and try our new {food} at {place}, first drink on us",
        "I tried to call you about your {thing}, we can do better on price, {call} me on {phone}",
        "good news, the {gadget} is back in stock, shall I keep one for you? {person}",
        "quick question, who do you pay for your data? we could save you {amount}, {person}",
    ),
}

EITHER = (
    "{call} me back on {phone} when you have a minute",
    "do you still {want} the {thing}? {amount} and it is yours",
    "good news, your {thing} is ready, {call} {phone}",
    "I have a {thing} for {amount}, {reply} {now} if you {want} it",
    "{person} asked me to {call} you about the {thing}",
    "last chance for {day}, are you in? {reply} by {hour}",
    "sorry to bother you again, is {day} good for a {call}",
    "your {gadget} is here, {get} it at {place} {day}",
)
"""Sentences that tell nothing: an offer and a friend may both write them."""

OPENERS = (
    "hey",
    "hi",
    "hello",
    "yo",
    "ok",
    "so",
    "morning",
    "oh",
    "listen",
    "well",
    "right",
    "btw",
)
CLOSERS = ("thanks", "x", "xx", "cheers", "see you", "love you", "bye", "take care", "ok?", "lol")
OFFER_CLOSERS = (
    "T&Cs apply",
    "Reply STOP to end",
    "Offer ends {day}",
    "18+ only",
    "Text HELP for help",
    "Limited time",
    "See {site}",
    "No purchase needed",
)

FILLERS: Mapping[str, tuple[str, ...]] = {
    "meal": ("lunch", "dinner", "breakfast", "party", "barbecue", "picnic"),
    "food": ("pizza", "cake", "wine", "curry", "bread", "soup", "salad", "coffee", "noodles"),
    "day": ("today", "tomorrow", "tonight", "Monday", "Tuesday", "Friday", "Saturday", "Sunday"),
    "part": ("day", "week", "evening", "morning", "weekend", "night"),
    "place": ("the station", "the park", "school", "the shop", "town", "the pub", "the market"),
    "paper": ("report", "essay", "slides", "invoice", "contract", "homework", "plan", "budget"),
    "thing": ("sofa", "phone", "bike", "lamp", "jacket", "laptop", "table", "camera", "chair"),
    "gadget": ("phone", "tablet", "camera", "laptop", "holiday", "voucher", "smartwatch", "TV"),
    "hour": ("noon", "six", "half past four", "8pm", "ten", "7.30", "quarter to nine", "3pm"),
    "amount": ("£50", "£200", "20 euros", "£1000", "$500", "ten pounds", "£5", "$2000", "£15"),
    "percent": ("20%", "half", "50%", "up to 70%"),
    "number": ("7", "12", "24", "48", "30", "90"),
    "call": ("call", "ring", "phone", "text"),
    "want": ("want", "need", "like"),
    "get": ("get", "collect", "pick up", "have"),
    "now": ("now", "today", "soon", "right away"),
    "reply": ("reply", "answer", "text back", "tell me"),
    "site": ("www.example.com/win", "deals.example.org", "secure-login.example.net", "example.com"),
}

ABBREVIATIONS = (
    (" you ", " u "),
    (" are ", " r "),
    (" your ", " ur "),
    ("please", "pls"),
    ("tomorrow", "tmrw"),
    ("thanks", "thx"),
    (" to ", " 2 "),
    ("because", "coz"),
    (" and ", " n "),
)
"""How a person in a hurry writes; applied to the sentences, never to what fills a slot."""

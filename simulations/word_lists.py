"""Names, places and numbers that belong to nobody, for texts with planted personal data.

Names are common ones paired at random. Phone numbers come from ranges that regulators keep free
for fiction, mail domains from those reserved for examples, card prefixes from issuers' test ranges.
"""

_FIRST_NAMES = """
Aaron Abigail Adaeze Adrian Agnes Ahmed Aisha Alan Alejandra Alice Amara Amir Ana Andrea Anjali
Anneke Anton Arjun Astrid Beatriz Benjamin Bianca Bogdan Brenda Bruno Camille Carlos Carmen
Cecilia Chidi Chloe Claudia Connor Dalia Damian Daniel Deborah Diego Dmitri Edith Edward Elena
Elif Emeka Emilia Erik Esther Fatima Felix Fiona Florian Francesca Gareth Georgia Gerald Giulia
Graham Greta Gustavo Hamza Hannah Harriet Hassan Heidi Helena Hiroshi Hugo Ibrahim Ingrid Irene
Isaac Ivana Jakub Jamila Jasmine Javier Joanna Joaquin Johanna Jolene Jorge Julian Kamala Karim
Katarina Keiko Kenneth Kwame Lars Latisha Leila Leonard Liam Linnea Lorenzo Lucia Magnus Malik
Marcin Margaret Mariam Martina Mateo Matilda Mei Mikael Miriam Mohammed Monique Nadia Naomi
Nathan Nikolai Nimrod Noor Olivia Omar Oscar Pablo Patricia Pavel Pedro Philippa Priya Quentin
Rachel Rafael Rashid Rebecca Renata Ricardo Robert Rohan Rosalind Ruben Sabine Salma Samuel
Sanjay Sebastian Selma Shirin Sigrid Simone Sofia Stefan Sunita Svetlana Tamara Tariq Teodora
Theodore Thiago Tomasz Ulrike Valentina Vanessa Victor Vikram Wanda Wesley Xavier Yasmin Yusuf
Zainab Zoltan Zuzana Łukasz Zoë José
"""

_LAST_NAMES = """
Abbott Abdullah Achebe Adeyemi Aguilar Ahlberg Alvarez Andersen Arslan Asante Atkinson Bakker
Banerjee Baptiste Barrett Becker Bergström Bianchi Blackwood Bondarenko Bradshaw Brennan
Calderon Carmichael Castellano Chatterjee Chowdhury Cooper Cunningham Dahl Davenport Delacroix
Desai Diaz Dlamini Donnelly Dubois Eklund Ellsworth Eriksen Escobar Fairbanks Farrell Fernandes
Fischer Fitzgerald Fonseca Gallagher Garrison Gomez Gonzalez Greenberg Gunnarsson Gupta Haddad
Hakimi Hallström Hargreaves Hashimoto Hawthorne Hernandez Hoffmann Holloway Horvat Hussain
Ibarra Iyer Jankowski Jefferson Johansson Kaczmarek Kaplan Karlsson Kaufmann Khalil Kimura
Kovacs Kowalski Krishnan Kruger Lambert Larsen Leclerc Lindqvist Lombardi Lundgren MacDonald
Mahmoud Mancini Marchetti Martinez Mbeki McAllister Mendoza Meyer Mitchell Moreau Morrison
Mukherjee Müller Nakamura Navarro Ndiaye Nguyen Nielsen Novak Nowak Obrien Ochoa Odonnell
Okafor Okonkwo Oliveira Ortega Osborne Ozturk Papadakis Pereira Petrov Pettersson Pinto Popescu
Quinlan Ramirez Rasmussen Reinhardt Ricci Rodriguez Romano Rosenthal Rossi Saldana Sandoval
Santos Schneider Schwartz Sharma Sinclair Sokolov Sorensen Stewart Suarez Sutherland Takahashi
Thibault Thornton Tomlinson Torres Tran Valdez Vargas Vasquez Villanueva Virtanen Volkov
Wallace Watanabe Weinstein Whitaker Williamson Winters Wojcik Yamamoto Yilmaz Zapata Zielinski
"""

FIRST_NAMES = tuple(_FIRST_NAMES.split())
LAST_NAMES = tuple(_LAST_NAMES.split())

STREETS = (
    "Alder Grove",
    "Ashbourne Road",
    "Bellweather Lane",
    "Birchfield Avenue",
    "Brackenbury Street",
    "Calloway Drive",
    "Carnaby Terrace",
    "Chestermere Road",
    "Coldharbour Lane",
    "Cranleigh Gardens",
    "Dunmore Crescent",
    "Eastgate Mews",
    "Elderberry Close",
    "Fallowfield Road",
    "Ferncliffe Avenue",
    "Glenmorgan Street",
    "Greyfriars Walk",
    "Hollowell Street",
    "Kestrel Way",
    "Kingsmead Drive",
    "Larkspur Court",
    "Lindenwood Avenue",
    "Longacre Street",
    "Maplethorpe Road",
    "Merriweather Drive",
    "Millbrook Lane",
    "Netherfield Close",
    "Oakhurst Boulevard",
    "Orchardleigh Road",
    "Pemberton Place",
    "Quarrington Street",
    "Ravenscroft Road",
    "Rosemount Terrace",
    "Saltmarsh Lane",
    "Silverdale Avenue",
    "Stonebridge Road",
    "Tannery Row",
    "Thistledown Way",
    "Underhill Road",
    "Wexcombe Street",
    "Whitstable Drive",
    "Willowbank Crescent",
)

MAIL_DOMAINS = (
    "example.com",
    "example.org",
    "example.net",
    "mail.example.com",
    "post.example.org",
    "inbox.example.net",
    "team.example.org",
)

MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)

AREA_CODES = ("202", "212", "303", "312", "404", "415", "503", "512", "617", "702", "808", "907")
"""Area codes to stand before 555-0100 to 555-0199, which North America keeps for fiction."""

BRITISH_FICTION = ("07700 900", "020 7946 0", "01632 960", "0113 496 0", "0808 157 0")
"""Number beginnings that Ofcom keeps for drama; three digits follow."""

CARD_PREFIXES = ("424242", "400005", "555555", "222300")
"""Beginnings of card numbers that payment companies publish for testing."""

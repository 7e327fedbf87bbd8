"""The words and codes that the invented region is made of; no real organisation or person is meant."""

from __future__ import annotations

# Slug, SNOMED CT code, its name, and what people are referred for.
SPECIALTIES = (
    ("cardiology", "394579002", "Cardiology", "Palpitations and breathlessness on exertion"),
    ("orthopaedics", "394801008", "Trauma and orthopaedics", "Knee pain that limits walking"),
    ("dermatology", "394582007", "Dermatology", "Changing pigmented lesion on the forearm"),
    ("ophthalmology", "394594003", "Ophthalmology", "Gradual loss of vision in the left eye"),
    ("ent", "418960008", "Otolaryngology", "Hoarseness for more than six weeks"),
    ("gynaecology", "394586005", "Gynecology", "Heavy menstrual bleeding with anaemia"),
    ("gastroenterology", "394584008", "Gastroenterology", "Change of bowel habit, weight loss"),
    ("respiratory", "418112009", "Pulmonary medicine", "Cough for three months in a smoker"),
    ("neurology", "394591006", "Neurology", "New headaches with visual disturbance"),
    ("endocrinology", "394583002", "Endocrinology", "Thyroid nodule found on examination"),
    ("urology", "394612005", "Urology", "Visible blood in the urine, no infection"),
    ("rheumatology", "394810000", "Rheumatology", "Painful swelling of both hands"),
)
TOWNS = (
    "Aldermouth", "Brackenholt", "Carrowmere", "Dunstead", "Elverhythe", "Fennacre",
    "Garthby", "Hollinsea"
)  # fmt: skip
STREETS = (
    "Chapel", "Station", "Orchard", "Mill", "Church", "Priory", "Quarry", "Harbour",
    "Victoria", "Meadow", "Beacon"
)  # fmt: skip
GIVEN = {
    "female": (
        "Amara", "Beatrice", "Chloe", "Diya", "Eleanor", "Fatima", "Grace", "Hannah",
        "Isla", "Joanna", "Kezia", "Leila", "Maud", "Niamh", "Olga", "Priya", "Rosalind",
        "Sofia", "Tamsin", "Zainab",
    ),
    "male": (
        "Adeel", "Benedict", "Callum", "Dariusz", "Edmund", "Farid", "George", "Harvey",
        "Imran", "Jacob", "Kwame", "Leon", "Mateusz", "Nathan", "Oscar", "Piotr", "Rohan",
        "Samuel", "Tobias", "Yusuf",
    ),
}  # fmt: skip
FAMILY = (
    "Adeyemi", "Ashworth", "Begum", "Birtwistle", "Chaudhry", "Clegg", "Dobson", "Eccleston",
    "Fairclough", "Ghosh", "Greenhalgh", "Hussain", "Ibbotson", "Jankowska", "Kaur",
    "Kershaw", "Lomax", "Mensah", "Nuttall", "Okafor", "O'Rourke", "Patel", "Pickles",
    "Quayle", "Ramsbottom", "Sharma", "Shuttleworth", "Thwaite", "Unsworth", "Varga",
    "Whittaker", "Yates"
)  # fmt: skip
PRIORITIES = (
    ("routine", "ROUTINE", "Routine"),
    ("urgent", "URGENT", "Urgent"),
    ("asap", "TWO_WEEK_WAIT", "2 Week Wait"),
)

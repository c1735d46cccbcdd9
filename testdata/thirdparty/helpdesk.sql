-- A help desk as it came with another program: its own tables, integer keys, its own list of people, no row security.
-- Used by docs/policy-guide.md as the schema that somebody already has.
SET client_min_messages = warning;

CREATE TABLE public.accounts (
    account_id integer PRIMARY KEY,
    company_name character varying(120) NOT NULL,
    plan character varying(20) DEFAULT 'basic' NOT NULL
);

CREATE TABLE public.agents (
    agent_id integer PRIMARY KEY,
    account_id integer NOT NULL REFERENCES public.accounts (account_id),
    email character varying(255) NOT NULL UNIQUE,
    full_name character varying(120) NOT NULL,
    is_supervisor boolean DEFAULT false NOT NULL
);

CREATE TABLE public.tickets (
    ticket_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id integer NOT NULL REFERENCES public.accounts (account_id),
    assigned_to integer REFERENCES public.agents (agent_id),
    subject character varying(200) NOT NULL,
    status character varying(20) DEFAULT 'open' NOT NULL CHECK (status IN ('open', 'pending', 'closed')),
    opened_at timestamp without time zone DEFAULT now() NOT NULL
);

CREATE TABLE public.ticket_comments (
    comment_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    ticket_id integer NOT NULL REFERENCES public.tickets (ticket_id) ON DELETE CASCADE,
    author_id integer REFERENCES public.agents (agent_id),
    body text NOT NULL,
    internal boolean DEFAULT false NOT NULL
);

INSERT INTO public.accounts (account_id, company_name, plan) VALUES
    (1, 'North Parcels', 'business'), (2, 'South Bakery', 'basic');

INSERT INTO public.agents (agent_id, account_id, email, full_name, is_supervisor) VALUES
    (10, 1, 'ann@example.com', 'Ann Abel', true), (11, 1, 'bob@example.com', 'Bob Berg', false),
    (20, 2, 'cara@example.com', 'Cara Cole', true), (21, 2, 'dan@example.com', 'Dan Dahl', false);

INSERT INTO public.tickets (account_id, assigned_to, subject, status)
SELECT 1 + n % 2, CASE n % 2 WHEN 0 THEN 10 + n / 2 % 2 ELSE 20 + n / 2 % 2 END, 'Ticket ' || n, CASE n % 3 WHEN 0 THEN 'closed' ELSE 'open' END
FROM generate_series(1, 200) n;

INSERT INTO public.ticket_comments (ticket_id, author_id, body, internal)
SELECT t.ticket_id, t.assigned_to, 'Comment ' || k || ' on ' || t.subject, k = 2
FROM public.tickets t CROSS JOIN generate_series(1, 2) k;

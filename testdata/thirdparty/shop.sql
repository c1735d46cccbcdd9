-- A web shop of several merchants as a migration tool left it: 25 tables, serial and uuid keys, an enum, views, functions, triggers.
-- Used by the test that auth.check() has nothing to say about what shop_rules.sql closed.
create schema shop;
create type shop.order_status as enum ('cart', 'placed', 'paid', 'shipped', 'returned');

create table shop.merchants (id serial primary key, slug varchar(60) not null unique, name varchar(200) not null, created_at timestamptz not null default now());
create table shop.staff (merchant_id integer not null references shop.merchants, user_id uuid not null, role varchar(20) not null default 'clerk', primary key (merchant_id, user_id));
create index on shop.staff (user_id);
create table shop.customers (id uuid primary key default gen_random_uuid(), email varchar(255) not null unique, full_name text, phone varchar(40), created_at timestamptz not null default now());
create table shop.addresses (id serial primary key, customer_id uuid not null references shop.customers on delete cascade, line1 text not null, city text not null, country char(2) not null, is_default boolean not null default false);
create index on shop.addresses (customer_id);
create unique index addresses_one_default on shop.addresses (customer_id) where is_default;
create table shop.countries (code char(2) primary key, name text not null, vat_rate numeric(5, 2) not null);
create table shop.currencies (code char(3) primary key, symbol text not null);
create table shop.categories (id serial primary key, parent_id integer references shop.categories, slug text not null unique, name text not null);
create table shop.brands (id serial primary key, name text not null unique);
create table shop.products (
  id serial primary key, merchant_id integer not null references shop.merchants, brand_id integer references shop.brands, category_id integer references shop.categories,
  sku text not null, title text not null, description text, price numeric(12, 2) not null check (price >= 0), currency char(3) not null references shop.currencies,
  visible boolean not null default false, updated_at timestamptz not null default now(), unique (merchant_id, sku));
create index on shop.products (category_id);
create table shop.product_images (id serial primary key, product_id integer not null references shop.products on delete cascade, url text not null, position integer not null default 0);
create index on shop.product_images (product_id);
create table shop.product_variants (id serial primary key, product_id integer not null references shop.products on delete cascade, options jsonb not null default '{}', stock integer not null default 0);
create index on shop.product_variants (product_id);
create table shop.tags (id serial primary key, label text not null unique);
create table shop.product_tags (product_id integer references shop.products on delete cascade, tag_id integer references shop.tags on delete cascade, primary key (product_id, tag_id));
create table shop.carts (id uuid primary key default gen_random_uuid(), customer_id uuid not null references shop.customers on delete cascade, updated_at timestamptz not null default now());
create index on shop.carts (customer_id);
create table shop.cart_items (cart_id uuid references shop.carts on delete cascade, variant_id integer references shop.product_variants, quantity integer not null check (quantity > 0), primary key (cart_id, variant_id));
create table shop.orders (
  id bigserial primary key, number text not null unique, customer_id uuid not null references shop.customers, merchant_id integer not null references shop.merchants,
  status shop.order_status not null default 'placed', total numeric(12, 2) not null default 0, placed_at timestamptz not null default now());
create index on shop.orders (customer_id);
create index on shop.orders (merchant_id, placed_at desc);
create table shop.order_items (order_id bigint references shop.orders on delete cascade, line integer, variant_id integer references shop.product_variants, quantity integer not null, price numeric(12, 2) not null, primary key (order_id, line));
create table shop.payments (id bigserial primary key, order_id bigint not null references shop.orders, provider text not null, reference text unique, amount numeric(12, 2) not null);
create index on shop.payments (order_id);
create table shop.shipments (id bigserial primary key, order_id bigint not null references shop.orders, carrier text not null, tracking text, shipped_at timestamptz);
create index on shop.shipments (order_id);
create table shop.returns (id bigserial primary key, order_id bigint not null references shop.orders, reason text not null, created_at timestamptz not null default now());
create index on shop.returns (order_id);
create table shop.coupons (code text primary key, merchant_id integer not null references shop.merchants, percent integer not null check (percent between 1 and 100), valid_until date);
create index on shop.coupons (merchant_id);
create table shop.reviews (id serial primary key, product_id integer not null references shop.products on delete cascade, customer_id uuid not null references shop.customers, stars integer not null, body text, published boolean not null default false, unique (product_id, customer_id));
create index on shop.reviews (customer_id);
create table shop.wishlists (customer_id uuid references shop.customers on delete cascade, product_id integer references shop.products on delete cascade, added_at timestamptz not null default now(), primary key (customer_id, product_id));
create table shop.price_history (id bigint generated always as identity primary key, product_id integer not null references shop.products on delete cascade, price numeric(12, 2) not null, changed_at timestamptz not null default now());
create index on shop.price_history (product_id);
create table shop.job_queue (id bigserial primary key, payload jsonb not null, run_at timestamptz not null default now());

create function shop.touch() returns trigger language plpgsql as $$ begin new.updated_at := now(); return new; end $$;
create trigger touch before update on shop.products for each row execute function shop.touch();
create function shop.keep_price() returns trigger language plpgsql security definer set search_path = shop, pg_temp as $$
begin
  if new.price is distinct from old.price then
    insert into shop.price_history (product_id, price) values (new.id, new.price); -- from products
  end if;
  return new;
end $$;
create trigger keep_price after update on shop.products for each row execute function shop.keep_price();
create function shop.order_total(p_order bigint) returns numeric language sql stable as 'select coalesce(sum(quantity * price), 0) from shop.order_items where order_id = p_order';
create function shop.slugify(p_text text) returns text language sql immutable strict as $$ select trim(both '-' from regexp_replace(lower(p_text), '[^a-z0-9]+', '-', 'g')) $$;
create function shop.place_order(p_cart uuid) returns bigint language plpgsql as $$
declare
  v_order bigint;
begin
  insert into shop.orders (number, customer_id, merchant_id)
  select 'N' || nextval('shop.orders_id_seq'), c.customer_id, min(p.merchant_id)
  from shop.carts c join shop.cart_items i on i.cart_id = c.id join shop.product_variants v on v.id = i.variant_id join shop.products p on p.id = v.product_id
  where c.id = p_cart group by c.customer_id returning id into v_order;
  insert into shop.order_items select v_order, row_number() over (), i.variant_id, i.quantity, p.price
  from shop.cart_items i join shop.product_variants v on v.id = i.variant_id join shop.products p on p.id = v.product_id where i.cart_id = p_cart;
  update shop.orders set total = shop.order_total(v_order) where id = v_order;
  return v_order;
end $$;
create view shop.catalogue as select p.id, p.title, p.price, p.currency, b.name as brand, c.name as category from shop.products p left join shop.brands b on b.id = p.brand_id left join shop.categories c on c.id = p.category_id where p.visible;
create view shop.my_orders as select o.id, o.number, o.status, o.total, shop.order_total(o.id) as sum_of_items from shop.orders o;
create materialized view shop.best_sellers as select v.product_id, sum(i.quantity) as sold from shop.order_items i join shop.product_variants v on v.id = i.variant_id group by v.product_id;
